"""What the ecosystems' modules have in common: an ecosystem, and the choice of a framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.analyzer.detect.releases import Pin, release, settled

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Iterable, Mapping

    from services.analyzer.detect.view import View
    from shared.events import Analysis, Dependency, Evidence


@dataclass(frozen=True)
class Names:
    """A set of base names: these, those with these endings, and those that match the pattern."""

    exact: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None

    def __contains__(self, name: str) -> bool:
        return (
            name in self.exact
            or name.endswith(self.endings)
            or (self.pattern is not None and self.pattern.fullmatch(name) is not None)
        )

    def among(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are in the set."""
        return [name for name in names if name in self]


@dataclass(frozen=True)
class Ecosystem:
    """One ecosystem: the languages that it builds, the files that it reads, and what it makes of a folder.

    A file of `roots` makes its folder a project of its own.
    """

    languages: tuple[str, ...]
    reads: Names
    roots: Names
    detect: Callable[[View], Analysis | None]


def framework_of(
    view: View, table: Mapping[str, str], names: Iterable[str], sources: Iterable[str]
) -> tuple[str | None, Evidence | None]:
    """The first framework of the table that is among the names, and where one of the sources names it."""
    present = set(names)
    for name, framework in table.items():
        if name in present:
            source = next((path for path in sources if name.lower() in view.text(path).lower()), "")
            return framework, view.evidence(source, name, "framework") if source else None
    return None, None


@dataclass(frozen=True)
class Versions:
    """The fields `version`, `release` and `doubts` of an analysis, and where the version stands."""

    fields: dict[str, Any]
    evidence: tuple[Evidence, ...]


def versions(kind: str, pins: Iterable[Pin | None], named: Collection[str] = ()) -> Versions:
    """What the pins say, the first of them first; `kind` is a key of `releases.KNOWN`.

    `named` are the lines that the project says it works with: of those that a range allows, one of them is taken.
    """
    chosen, doubts = settled(pins)
    fields = {
        "version": chosen.text if chosen else None,
        "release": release(chosen.text, kind, named) if chosen else None,
        "doubts": doubts,
    }
    return Versions(fields, (chosen.evidence,) if chosen else ())


def unique(dependencies: Iterable[Dependency]) -> tuple[Dependency, ...]:
    """Each name once; where it is needed at run time, that counts."""
    found: dict[str, Dependency] = {}
    for dependency in dependencies:
        known = found.get(dependency.name)
        if known is None or (known.dev and not dependency.dev):
            found[dependency.name] = dependency
    return tuple(found.values())


def some(*evidence: Evidence | None) -> tuple[Evidence, ...]:
    """Those that there are."""
    return tuple(one for one in evidence if one is not None)
