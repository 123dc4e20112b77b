"""What can be done about lock files and pins that do not fit: the table is `locks.yml` beside."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Way(NamedTuple):
    """What to do: patterns with their replacements, commands with the pattern of what they come before; and why."""

    replace: Mapping[str, str]
    before: Mapping[str, str]
    why: str


@cache
def _rows() -> list[tuple[re.Pattern[str], Way]]:
    rows = yaml.safe_load((Path(__file__).parent / "locks.yml").read_text())
    return [(re.compile(row["says"]), Way(row.get("replace", {}), row.get("before", {}), row["why"])) for row in rows]


def patterns() -> list[str]:
    """The patterns that are held against a log."""
    return [says.pattern for says, _ in _rows()]


def way_out(lines: Iterable[str]) -> Way | None:
    """What to do about the first row that a line matches, its groups filled in; None where none does."""
    said = list(lines)
    for says, way in _rows():
        found = next((match for line in reversed(said) if (match := says.search(line))), None)
        if found:
            groups = {name: text or "" for name, text in found.groupdict().items()}
            return Way(
                {_filled(old, groups, escape=True): _filled(new, groups) for old, new in way.replace.items()},
                {_filled(command, groups): at for command, at in way.before.items()},
                _filled(way.why, groups),
            )
    return None


def _filled(text: str, groups: Mapping[str, str], *, escape: bool = False) -> str:
    """The text with the names of groups in braces replaced; nothing else in braces is touched."""
    for name, value in groups.items():
        text = text.replace(f"{{{name}}}", re.escape(value) if escape else value)
    return text
