"""Edits of `.gitlab-ci.yml`: commands in a script, a key of a job; None where the text has another shape."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from shared.ci.commands import Script, scripts_of
from shared.ci.document import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.ci.document import Document, Path

_DASH = re.compile(r"\s*-\s+")
_FLOW = re.compile(r".*[\[,]\s*")
_KEY = re.compile(r"(?P<indent>\s*)(?P<key>[\w.-]+):[ \t]*(?P<value>.*)")
_PAIR = re.compile(
    r"(?P<key>[\w.-]+:[ \t]+)"
    r"(?P<value>\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,{}\[\]#&*!|>\"'][^,{}#]*?)"
    r"(?P<rest>\s*[,}].*|\s+#.*|\s*)"
)
_BLOCK = re.compile(r"[|>][-+0-9]*")


class Step(NamedTuple):
    """One item of a job's script as it will run, and where it is written."""

    text: str
    path: Path


def steps_of(document: Document, job: str) -> list[Step]:
    """The items of a job's before_script and script in the order in which they run, wherever they are written."""
    scripts = {script.path: script for script in scripts_of(document)}
    return [
        Step(text, path)
        for key in ("before_script", "script")
        for text, path in scripts.get(document.origin_of(job, key), Script((), ())).items
    ]


def with_commands(document: Document, path: Path, commands: Sequence[str]) -> str | None:
    """The text with these commands before the item of a script at this path, in the style of that item."""
    lines = document.text.splitlines(keepends=True)
    line, column = document.position_of(path)
    if not isinstance(path[-1], int):
        return _in_one(lines, line - 1, commands)
    before, after = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
    written = [_written(command, after) for command in commands]
    if _DASH.fullmatch(before):
        lines[line - 1 : line - 1] = [f"{before}{one}\n" for one in written]
    elif _FLOW.fullmatch(before):
        lines[line - 1] = f"{before}{''.join(f'{json.dumps(command)}, ' for command in commands)}{after}"
    else:
        return None
    return "".join(lines)


def _in_one(lines: list[str], number: int, commands: Sequence[str]) -> str | None:
    """A script that is one text and no list: commands before its first line, or a list of them and of it."""
    found = _KEY.fullmatch(lines[number].rstrip("\n"))
    if not found:
        return None
    if _BLOCK.fullmatch(found["value"]) and found["value"].startswith("|") and number + 1 < len(lines):
        first = lines[number + 1]
        indent = first[: len(first) - len(first.lstrip())]
        lines[number + 1 : number + 1] = [f"{indent}{command}\n" for command in commands]
        return "".join(lines)
    if not found["value"] or found["value"][:1] in "|>&*!#[":
        return None
    items = [*(_written(command, "") for command in commands), found["value"]]
    listed = [f"{found['indent']}{found['key']}:\n", *(f"{found['indent']}  - {item}\n" for item in items)]
    lines[number : number + 1] = listed
    changed = "".join(lines)
    return changed if parse(changed).readable else None


def with_step(document: Document, step: Step, text: str) -> str | None:
    """The text with an item of a script replaced, written as it was; None where it has several lines."""
    lines = document.text.splitlines(keepends=True)
    line, column = document.position_of(step.path)
    before, after = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
    if "\n" in step.text.strip() or not isinstance(step.path[-1], int) or not _DASH.fullmatch(before):
        return None
    if yaml.safe_load(f"- {after}") != [step.text]:
        return None
    lines[line - 1] = f"{before}{_written(text, after)}\n"
    return "".join(lines)


def with_variable(document: Document, job: str, name: str, value: str, *, everywhere: bool = False) -> str | None:
    """The text in which this variable of the job has this value; one that the whole file declares is changed there.

    With `everywhere` a new one is declared for the whole file, where that has variables.
    """
    own = document.root.get(job)
    variables = own.get("variables") if isinstance(own, dict) else None
    if everywhere and document.variables and name not in {*document.variables, *(variables or {})}:
        return _inserted(document, ("variables",), [f"{name}: {json.dumps(value)}"])
    if isinstance(variables, dict):
        if name in variables:
            return with_scalar(document, (job, "variables", name), value)
        return _inserted(document, (job, "variables"), [f"{name}: {json.dumps(value)}"])
    if name in document.variables:
        return with_scalar(document, ("variables", name), value)
    return with_key(document, job, ["variables:", f"  {name}: {json.dumps(value)}"])


def with_scalar(document: Document, path: Path, value: str) -> str | None:
    """The text with another value of the key at this path; None unless key and value stand on one line."""
    if path not in document.positions:
        return None
    lines = document.text.splitlines(keepends=True)
    line, column = document.positions[path]
    start, rest = lines[line - 1][: column - 1], lines[line - 1][column - 1 :].rstrip("\n")
    found = _PAIR.fullmatch(rest)
    if not found:
        return None
    old = found["value"]
    quoted = json.dumps(value) if old.startswith('"') else f"'{value}'" if old.startswith("'") else _plain(value)
    lines[line - 1] = f"{start}{found['key']}{quoted}{found['rest']}\n"
    return "".join(lines)


def with_key(document: Document, job: str, entry: Sequence[str]) -> str | None:
    """The text with an entry of one or more lines, indented by two from its key, after the job's `stage` or first."""
    after = (job, "stage") if (job, "stage") in _own_keys(document, job) else (job,)
    return _inserted(document, (job,), entry, document.line_of(after))


def with_item(document: Document, path: Path, item: str) -> str | None:
    """The text with one more item at the end of the list at this path; None where there is no such list."""
    value: Any = document.root
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, list) or not value:
        return None
    lines = document.text.splitlines(keepends=True)
    line, column = document.position_of((*path, len(value) - 1))
    before, after = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
    if _DASH.fullmatch(before) and "\n" not in str(value[-1]) and not isinstance(value[-1], dict | list):
        lines.insert(line, f"{before}{item}\n")
    elif _FLOW.fullmatch(before):
        end = after.rfind("]")
        if end < 0:
            return None
        lines[line - 1] = f"{before}{after[:end].rstrip()}, {item}{after[end:]}"
    else:
        return None
    return "".join(lines)


def _own_keys(document: Document, job: str) -> Iterator[Path]:
    body = document.root.get(job)
    yield from ((job, key) for key in body if (job, key) in document.positions) if isinstance(body, dict) else ()


def _inserted(document: Document, path: Path, entry: Sequence[str], line: int = 0) -> str | None:
    """Lines after a line (the one of the path where none is said), indented as the other keys below the path."""
    line = line or document.line_of(path)
    below = [
        place for one, place in document.positions.items() if one[: len(path)] == path and len(one) == len(path) + 1
    ]
    lines = document.text.splitlines(keepends=True)
    if not below or any(number == document.line_of(path) for number, _ in below):
        return None
    indent = " " * (min(column for _, column in below) - 1)
    lines[line:line] = [f"{indent}{one}\n" for one in entry]
    return "".join(lines)


def _written(command: str, like: str) -> str:
    """A command as an item: in double quotes where its neighbour is, else plain where that means the same."""
    return json.dumps(command, ensure_ascii=False) if like.startswith('"') else _plain(command)


def _plain(value: str) -> str:
    """The value without quotes where YAML then reads the same text, else in double quotes."""
    try:
        same = bool(yaml.safe_load(f"- {value}") == [value])
    except yaml.YAMLError:
        same = False
    return value if same else json.dumps(value, ensure_ascii=False)


def with_word(document: Document, step: Step, old: str, new: str) -> str | None:
    """The text with the first such word within an item of a script replaced; None where the item does not have it."""
    lines = document.text.splitlines(keepends=True)
    start, column = document.position_of(step.path)
    end = min((line for line, _ in document.positions.values() if line > start), default=len(lines) + 1)
    whole = "".join(lines[start - 1 : end - 1])
    word = re.compile(rf"(?<![\w./$@:-]){re.escape(old)}(?![\w./-])")
    found = word.search(whole, column - 1)
    if not found:
        return None
    return "".join([*lines[: start - 1], whole[: found.start()], new, whole[found.end() :], *lines[end - 1 :]])


def with_lines_at(document: Document, path: Path, entry: Sequence[str]) -> str | None:
    """The text with an entry before the key or item at this path, at its depth; None where that is within a line."""
    lines = document.text.splitlines(keepends=True)
    line, column = document.position_of(path)
    before = lines[line - 1][: column - 1]
    indent = len(before) - len(before.lstrip()) if _DASH.fullmatch(before) else len(before)
    if before.strip(" -") or path not in document.positions:
        return None
    lines[line - 1 : line - 1] = [f"{' ' * indent}{one}\n" for one in entry]
    return "".join(lines)
