"""One module per ecosystem: its manifests, its tables, and what it makes of a folder. Pure."""

from __future__ import annotations

from functools import lru_cache

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
from services.analyzer.detect.project import Ecosystem
from services.analyzer.detect.view import View

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


def is_manifest(path: str) -> bool:
    """Whether the content of this path says something about the repository."""
    if path.count("/") > MAX_DEPTH or languages.is_vendored(path):
        return False
    return _is_read(path.rpartition("/")[2])


def is_source(path: str) -> bool:
    """Whether the bytes of this path count for its language."""
    return languages.language_of(path) is not None and not languages.is_vendored(path)


def is_project(name: str) -> bool:
    """Whether a file of this base name makes its folder a project of its own."""
    return any(ecosystem.root(name) for ecosystem in ECOSYSTEMS)


@lru_cache(maxsize=16384)
def _is_read(name: str) -> bool:
    return name in SHARED_MANIFESTS or any(ecosystem.reads(name) for ecosystem in (*ECOSYSTEMS, *SIMPLE))
