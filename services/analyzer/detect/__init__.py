"""One module per ecosystem: its manifests, its tables, and what it makes of a folder. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.analyzer.detect import (
    beam,
    clojure,
    dotnet,
    go,
    javascript,
    jvm,
    languages,
    native,
    php,
    python,
    ruby,
    rust,
    single,
    sites,
    surroundings,
)
from services.analyzer.detect.project import Ecosystem, Names
from services.analyzer.detect.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ECOSYSTEMS", "SIMPLE", "Ecosystem", "View", "is_manifest", "is_project", "is_source", "languages"]

ECOSYSTEMS: tuple[Ecosystem, ...] = (
    *(module.ecosystem for module in (python, javascript, ruby, jvm, clojure, go, rust, php, dotnet, beam, native)),
    *single.ECOSYSTEMS,
)
# Asked where no ecosystem recognises anything, in this order.
SIMPLE: tuple[Ecosystem, ...] = (sites.static, sites.shell)
SHARED_MANIFESTS = surroundings.NAMES | {
    ".tool-versions",
    "mise.toml",
    ".mise.toml",
    "railpack.json",
    "project.toml",
    "Procfile",
}
MAX_DEPTH = 5


def _together(several: Iterable[Names]) -> tuple[Names, tuple[Names, ...]]:
    """All names and endings as one set, because very many are asked for; and the sets that have a pattern."""
    sets = tuple(several)
    exact = frozenset().union(*(names.exact for names in sets))
    endings = tuple({ending for names in sets for ending in names.endings})
    return Names(exact, endings), tuple(names for names in sets if names.pattern)


_READS, _PATTERNS = _together([Names(SHARED_MANIFESTS), *(one.reads for one in (*ECOSYSTEMS, *SIMPLE))])
_ROOTS, _ = _together(ecosystem.roots for ecosystem in ECOSYSTEMS)


def is_manifest(path: str) -> bool:
    """Whether the content of this path says something about the repository."""
    name = path.rpartition("/")[2]
    known = name in _READS or any(name in names for names in _PATTERNS)
    return known and path.count("/") <= MAX_DEPTH and not languages.is_vendored(path)


def is_source(path: str) -> bool:
    """Whether the bytes of this path count for its language."""
    return languages.language_of(path) is not None and not languages.is_vendored(path)


def is_project(name: str) -> bool:
    """Whether a file of this base name makes its folder a project of its own."""
    return name in _ROOTS
