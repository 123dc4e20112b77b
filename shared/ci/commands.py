"""The shell commands of a pipeline file, each with the line on which it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from shared.ci.finding import PIPELINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ci.document import Document, Path


class Command(NamedTuple):
    """One line of a script; line and column count from 1."""

    text: str
    file: str
    line: int
    column: int
    path: Path


def commands_of(document: Document) -> Iterator[Command]:
    """Every line of every script in the file, those of hidden jobs and of `default` included."""
    lines = document.text.splitlines()
    for top, body in document.root.items():
        sections = body.items() if isinstance(body, dict) else ()
        for path, value in [((top,), body), *(((top, key), value) for key, value in sections)]:
            if str(path[-1]).endswith("script"):
                yield from _lines(document, value, path, lines)


def _lines(document: Document, value: Any, path: Path, lines: list[str]) -> Iterator[Command]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _lines(document, item, (*path, number), lines)
    elif isinstance(value, str):
        start, column = document.position_of(path)
        for text in value.replace("\\\n", " ").splitlines():
            start = _line_of(text, start, lines)
            yield Command(text, PIPELINE, start, column, path)


def _line_of(text: str, start: int, lines: list[str]) -> int:
    """The first line from `start` on that holds the text's beginning; `start` where none does."""
    wanted = text.strip()[:30].strip()
    for number in range(start, min(start + 200, len(lines) + 1)):
        if wanted and wanted in lines[number - 1]:
            return number
    return start
