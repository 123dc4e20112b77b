"""File patterns of `exists`, `changes` and `include`: Ruby's fnmatch with PATHNAME, DOTMATCH and EXTGLOB."""

from __future__ import annotations

import re
from functools import lru_cache

PIECE = re.compile(r"\*\*/|\*+|\?|\[[^\]/]+\]|\{[^{}]*\}|[^*?\[{]+|.", re.DOTALL)


def matches(path: str, pattern: str) -> bool:
    """Whether a path of the repository fits the pattern; `*` ends at a slash, `**/` is any number of folders."""
    compiled = _compiled(pattern.removeprefix("./").lstrip("/"))
    return compiled is not None and compiled.fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(_translate(pattern), re.DOTALL)
    except re.error:
        return None


def _translate(pattern: str) -> str:
    return "".join(_piece(piece) for piece in PIECE.findall(pattern))


def _piece(piece: str) -> str:
    if piece == "**/":
        return "(?:[^/]+/)*"
    if set(piece) == {"*"}:
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece[0] == "[" and len(piece) > 1:
        return "[" + piece[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("!", "^", piece[1] == "!") + "]"
    if piece[0] == "{" and len(piece) > 1:
        return "(?:" + "|".join(_translate(one) for one in piece[1:-1].split(",")) + ")"
    return re.escape(piece)
