"""What a template assumes of a repository: it fits where all of it holds; the same assumptions have the same key."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.events import Analysis, Template

NAMED = ("language", "framework", "package_manager", "build_tool", "entry_point")


def assumptions(of: Template | Analysis) -> dict[str, str | None]:
    """What must be the same on both sides (design, section 1), each by the name that a person reads."""
    # A template's version is a release; an analysis has what the manifest declares beside the release that it means.
    version = getattr(of, "release", of.version)
    return {
        **{name.replace("_", " "): getattr(of, name) for name in NAMED},
        **{f"{name} command": text for name, text in of.commands.model_dump().items()},
        "folder": of.root or None,
        "major version": version.split(".", 1)[0] if version else None,
    }


def fit_key(of: Template | Analysis) -> str:
    """16 hex digits of the sha256 of the assumptions: by it a store finds what fits without reading anything."""
    stated = json.dumps({name: value or None for name, value in assumptions(of).items()}, sort_keys=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:16]
