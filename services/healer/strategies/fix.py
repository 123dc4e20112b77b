"""What a strategy proposes."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.events import Files


@dataclass(frozen=True)
class Fix:
    """A repair that was not checked yet; with `rerun` the files stay and the same pipeline runs again.

    A `certain` one comes before the free rerun of what may pass by itself: the log leaves no doubt.
    """

    strategy: str
    summary: str
    files: Files
    author: str = "rules"
    rerun: bool = False
    certain: bool = False


def unified_diff(before: Files, after: Files) -> str:
    """The change of both files as one unified diff; empty where nothing changed."""
    parts: list[str] = []
    old, new = before.by_path(), after.by_path()
    for path, text in old.items():
        lines = difflib.unified_diff(text.splitlines(), new[path].splitlines(), f"a/{path}", f"b/{path}", lineterm="")
        parts += list(lines)
    return "\n".join(parts)
