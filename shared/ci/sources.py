"""What a Dockerfile copies from the repository, and whether it is there, as far as the analysis knows."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ci.instructions import Instruction
    from shared.events import Analysis

# By language the manifests that the analyzer always lists where they exist: one that it does not list is not there.
# What else a repository holds is not in the analysis.
LISTED = {
    "python": {"requirements.txt", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile"},
    "javascript": {"package.json"},
    "typescript": {"package.json"},
    "go": {"go.mod"},
    "rust": {"Cargo.toml"},
    "ruby": {"Gemfile"},
    "php": {"composer.json"},
}
# By language the file that `Analysis.lockfile` names where it exists.
LOCKFILES = {"go": "go.sum", "rust": "Cargo.lock", "ruby": "Gemfile.lock", "php": "composer.lock"}
_FLAG = re.compile(r"--(\w+)(?:=\S*)?")


def sources_of(instruction: Instruction) -> Iterator[str]:
    """The paths that a COPY or ADD takes from the build's context; no stage, address or heredoc."""
    if instruction.word not in ("COPY", "ADD") or "--from" in instruction.rest or "<<" in instruction.rest:
        return
    rest = instruction.rest
    while match := _FLAG.match(rest):
        rest = rest[match.end() :].lstrip()
    for word in _words(rest)[:-1]:
        if "://" not in word and not word.startswith("git@"):
            yield word


def absent(source: str, analysis: Analysis) -> str:
    """Why this path is certainly not in the repository, or nothing."""
    path = PurePosixPath(source.lstrip("/"))
    if ".." in path.parts:
        return "a build sees nothing above its context"
    folder = "" if str(path.parent) == "." else str(path.parent)
    if folder != analysis.root or not analysis.manifests:
        return ""
    listed = path.name in LISTED.get(analysis.language, ()) and path.name not in analysis.manifests
    locked = path.name == LOCKFILES.get(analysis.language) and not analysis.lockfile
    return "the repository has no such file" if listed or locked else ""


def _words(rest: str) -> list[str]:
    """The words of the shell form, or of the JSON form."""
    if rest.startswith("["):
        try:
            found = json.loads(rest)
        except ValueError:
            return []
        return [word for word in found if isinstance(word, str)] if isinstance(found, list) else []
    return rest.split()
