"""One module per ecosystem: its manifests, its tables, and what it makes of a repository. Pure."""

from __future__ import annotations

from services.analyzer.detect import javascript, languages, python, ruby
from services.analyzer.detect.view import View

__all__ = ["ECOSYSTEMS", "View", "is_manifest", "languages"]

ECOSYSTEMS = (python, javascript, ruby)
SHARED_MANIFESTS = frozenset({".tool-versions", "Procfile", "Dockerfile", "LICENSE"})
MAX_DEPTH = 3


def is_manifest(path: str) -> bool:
    """Whether the content of this path says something about the repository."""
    if path.count("/") > MAX_DEPTH or languages.is_vendored(path):
        return False
    name = path.rpartition("/")[2]
    return name in SHARED_MANIFESTS or any(ecosystem.is_manifest(name) for ecosystem in ECOSYSTEMS)
