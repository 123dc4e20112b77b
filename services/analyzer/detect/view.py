"""A repository as the detectors see it: names, and manifests parsed by their format's own parser."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from shared.events import Evidence

if TYPE_CHECKING:
    from shared.ports import Snapshot


class View:
    """Reads never raise: what is missing, too deep or not of its format is empty."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Of one snapshot."""
        self._contents = snapshot.contents
        self.paths = frozenset(entry.path for entry in snapshot.tree)
        self.sizes = {entry.path: entry.size for entry in snapshot.tree}

    def has(self, *paths: str) -> bool:
        """Whether any of the paths exists."""
        return any(path in self.paths for path in paths)

    def first(self, *paths: str) -> str | None:
        """The first of the paths that exists."""
        return next((path for path in paths if path in self.paths), None)

    def matching(self, pattern: str) -> list[str]:
        """The paths that match a regular expression from their beginning to their end, sorted."""
        compiled = re.compile(pattern)
        return sorted(path for path in self.paths if compiled.fullmatch(path))

    def text(self, path: str) -> str:
        """The content; empty where it was not read."""
        return self._contents.get(path, b"").decode("utf-8-sig", errors="replace")

    def lines(self, path: str) -> list[str]:
        """The lines without comments and blank ones."""
        bare = (line.split(" #", 1)[0].strip() for line in self.text(path).splitlines())
        return [line for line in bare if line and not line.startswith("#")]

    def json(self, path: str) -> dict[str, Any]:
        """The object in a JSON file."""
        try:
            document = json.loads(self.text(path) or "{}")
        except (ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    def toml(self, path: str) -> dict[str, Any]:
        """The table in a TOML file."""
        try:
            return tomllib.loads(self.text(path))
        except (ValueError, RecursionError):
            return {}

    def evidence(self, path: str, text: str) -> Evidence:
        """Where a statement stands: the first line of the file that has the text."""
        for number, line in enumerate(self.text(path).splitlines(), 1):
            if text in line:
                return Evidence(source=path, line=number, text=line.strip()[:200])
        return Evidence(source=path, text=text[:200])

    def tool_version(self, *tools: str) -> str | None:
        """The version of a tool in `.tool-versions` (asdf, mise)."""
        for line in self.lines(".tool-versions"):
            name, _, version = line.partition(" ")
            if name in tools and version.strip():
                return version.split()[0]
        return None

    def web_command(self) -> str | None:
        """The `web` process of a Procfile."""
        for line in self.lines("Procfile"):
            name, colon, command = line.partition(":")
            if colon and name == "web":
                return command.strip() or None
        return None

    def exposed_ports(self) -> tuple[int, ...]:
        """The ports that an existing Dockerfile exposes."""
        found = re.findall(r"(?im)^\s*EXPOSE\s+(\d{1,5})\b", self.text("Dockerfile"))
        return tuple(dict.fromkeys(int(port) for port in found if 0 < int(port) < 65536))  # noqa: PLR2004 - ports


def table(document: Any, *keys: str) -> dict[str, Any]:
    """The table below some keys; empty where a key is missing or something else stands there."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def texts(value: Any) -> list[str]:
    """The texts of a list; empty for anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
