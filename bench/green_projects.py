"""The projects of `make green`, as data: where each comes from, and with what some of them are broken.

Real ones are source distributions of PyPI and packages of npm with their own tests, as they were published. Small
applications beside them, in bench/projects, have what no package brings: a database, a lockfile of pnpm or Poetry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench import green_breaks as breaks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A pinned archive of a package registry; `subfolder` is the part of it that is the project."""

    registry: Literal["pypi", "npm"]
    name: str
    sha256: str
    subfolder: str = "."


@dataclass(frozen=True)
class Project:
    """One project: `change` breaks its files before they are pushed, `meanwhile` something outside while it runs.

    `source` as a text is a folder of bench/projects. `broken` says with what, in words for the table.
    """

    name: str
    stack: str
    source: Source | str
    broken: str = ""
    change: Callable[[Path], None] | None = None
    meanwhile: Callable[..., Coroutine[Any, Any, None]] | None = None


MARKUPSAFE = Source("pypi", "markupsafe==3.0.2", "ee55d3edf80167e48ea11a923c7386f4669df67d7994554387f84e7d8b0a2bf0")
SQLPARSE = Source("pypi", "sqlparse==0.5.3", "09f67787f56a0b16ecdbde1bfc7f5d9c3371ca683cfeaa8e6ff60b4807ec9272")
HUMANIZE = Source("pypi", "humanize==4.11.0", "e66f36020a2d5a974c504bd2555cf770621dbdbb6d82f94a6857c0b1ea2608be")
FASTQ = Source("npm", "fastq@1.19.1", "42b4c40f6c3f85e08ecb579bb34721281dd699fc78a363614040271b18335813")
SPLIT2 = Source("npm", "split2@4.2.0", "e0061e7f042fc5ff6dcda8afb66619757d92ab1ff514a28a5904f2ebde27bf54")
REUSIFY = Source("npm", "reusify@1.1.0", "2460004412100eea8e96b98f14d3dfb4e22a6628654e5431d14f974c6201ca18")
LIBLMDB = Source(
    "npm",
    "lmdb@3.2.6",
    "8197423cd2d82037856b1921a032b57cbaec298bece3dc2b15cfc51e39bf0a21",
    "dependencies/lmdb/libraries/liblmdb",
)
BOILERPLATE = Source(
    "npm", "html5-boilerplate@7.3.0", "7c1d7068e5117890075e4603ef57e9405c0e199fecd32d470f103a647a3fe268", "dist"
)

PROJECTS: tuple[Project, ...] = (
    Project("rotate", "shell", "rotate", "an image deleted from the registry", meanwhile=breaks.image_deleted),
    Project("humanize-tag", "Python, pip", HUMANIZE, "a Python that has no image", breaks.no_such_release),
    Project("humanize-version", "Python, pip", HUMANIZE, "a Python older than the package wants", breaks.older_python),
    Project("humanize-library", "Python, pip", HUMANIZE, "a system library that no image has", breaks.system_library),
    Project("split2-mode", "JavaScript, npm", SPLIT2, "a script without its executable bit", breaks.not_executable),
    Project("markupsafe", "Python, pip", MARKUPSAFE),
    Project("sqlparse", "Python, pip", SQLPARSE),
    Project("humanize", "Python, pip", HUMANIZE),
    Project("notes-api", "Python, pip, PostgreSQL", "notes-api"),
    Project("word-count", "Python, Poetry", "word-count"),
    Project("slugs", "Python, uv", "slugs"),
    Project("fastq", "JavaScript, npm", FASTQ),
    Project("reusify", "JavaScript, npm", REUSIFY),
    Project("visit-counter", "JavaScript, npm, Redis", "visit-counter"),
    Project("short-links", "JavaScript, pnpm", "short-links"),
    Project("temperature", "TypeScript, npm", "temperature"),
    Project("html5-boilerplate", "static site", BOILERPLATE),
    Project("liblmdb", "C, make", LIBLMDB),
)
