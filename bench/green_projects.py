"""The projects of `make green`, as data: where each comes from, and with what some of them are broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
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
    """One project: `change` breaks its files before they are pushed, `meanwhile` something outside while it runs."""

    name: str
    stack: str
    source: Source | str
    broken: bool = False
    change: Callable[[Path], None] | None = None
    meanwhile: Callable[..., Awaitable[Any]] | None = None


PROJECTS: tuple[Project, ...] = (
    Project("itsdangerous", "Python, pip", Source("pypi", "itsdangerous==2.2.0", "e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173")),
    Project("toolz", "Python, pip", Source("pypi", "toolz==1.0.0", "2c86e3d9a04798ac556793bced838816296a2f085017664e4995cb40a1047a02")),
    Project("humanize", "Python, pip", Source("pypi", "humanize==4.11.0", "e66f36020a2d5a974c504bd2555cf770621dbdbb6d82f94a6857c0b1ea2608be")),
    Project("pastel", "Python, Poetry", Source("pypi", "pastel==0.2.1", "e6581ac04e973cac858828c6202c1e1e81fee1dc7de7683f3e1ffe0bfd8a573d")),
    Project("tomlkit", "Python, Poetry", Source("pypi", "tomlkit==0.13.2", "fff5fe59a87295b278abd31bec92c15d9bc4a06885ab12bcea52c71119392e79")),
    Project("python-dotenv", "Python, pip", Source("pypi", "python-dotenv==1.0.1", "e324ee90a023d808f1959c46bcbc04446a10ced277783dc6ee09987c37ec10ca")),
    Project("fastq", "JavaScript, npm", Source("npm", "fastq@1.19.1", "42b4c40f6c3f85e08ecb579bb34721281dd699fc78a363614040271b18335813")),
    Project("split2", "JavaScript, npm", Source("npm", "split2@4.2.0", "e0061e7f042fc5ff6dcda8afb66619757d92ab1ff514a28a5904f2ebde27bf54")),
    Project("reusify", "JavaScript, npm", Source("npm", "reusify@1.1.0", "2460004412100eea8e96b98f14d3dfb4e22a6628654e5431d14f974c6201ca18")),
)
