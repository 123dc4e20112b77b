"""The scripts of a pipeline file and their shell commands, each with the line on which it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from shared.ci.finding import PIPELINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ci.document import Document, Path

# A script's text is looked for within so many lines of its key.
REACH = 200


class Command(NamedTuple):
    """One line of a script; line and column count from 1."""

    text: str
    file: str
    line: int
    column: int
    path: Path


class Script(NamedTuple):
    """One `script`, `before_script` or `after_script` as written: its items, each with its path."""

    path: Path
    items: tuple[tuple[str, Path], ...]


def scripts_of(document: Document) -> Iterator[Script]:
    """Every script in the file, those of hidden jobs and of `default` included; a reference stands for `:`."""
    for top, body in document.root.items():
        for path, value in _sections(top, body):
            if str(path[-1]).endswith("script"):
                yield Script(path, tuple(_items(value, path)))


def _sections(top: str, body: Any) -> Iterator[tuple[Path, Any]]:
    """The values in which a script can stand: keys of the file and of a job, its hooks, and the steps of its `run`."""
    yield (top,), body
    if not isinstance(body, dict):
        return
    yield from (((top, key), value) for key, value in body.items())
    hooks, steps = body.get("hooks"), body.get("run")
    if isinstance(hooks, dict):
        yield from (((top, "hooks", key), value) for key, value in hooks.items())
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        if isinstance(step, dict) and "script" in step:
            yield (top, "run", number, "script"), step["script"]


def commands_of(document: Document) -> Iterator[Command]:
    """Every line of every script in the file; lines joined by a backslash are one."""
    lines = document.text.splitlines()
    for script in scripts_of(document):
        for text, path in script.items:
            start, column = document.position_of(path)
            for line in text.replace("\\\n", "").splitlines():
                start = _line_of(line, start, lines)
                yield Command(line, PIPELINE, start, column, path)


def placed(document: Document, script: Script, wrong: int) -> tuple[int, int]:
    """Line and column in the file of a line (from 0) of the script's text, its items one below the other."""
    lines, first = document.text.splitlines(), 0
    for item, path in script.items:
        rows = item.split("\n")
        if wrong < first + len(rows):
            line, column = document.position_of(path)
            for row in rows[: wrong - first + 1]:
                line = _line_of(row, line, lines)
            return line, column
        first += len(rows)
    return document.position_of(script.path)


def _line_of(text: str, start: int, lines: list[str]) -> int:
    """The first line from `start` on that holds the text's beginning; `start` where none does."""
    wanted = text.strip()[:30].strip()
    for number in range(start, min(start + REACH, len(lines) + 1)):
        if wanted and wanted in lines[number - 1]:
            return number
    return start


def _items(value: Any, path: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _items(item, (*path, number))
    elif isinstance(value, str):
        yield value, path
    elif value is not None:
        yield ":", path
