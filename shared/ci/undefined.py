"""Variables that nothing defines: neither the file, nor GitLab, nor the shell.

A project's settings, a group's, a schedule, a trigger and an image may define more than a file shows. So an unknown
name is a warning; it is an error only where it differs by one letter from a name that exists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shared.ci.commands import commands_of
from shared.ci.finding import PIPELINE, Finding
from shared.ci.needs import listed
from shared.ci.predefined import GITLAB, SHELL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ci.document import Document, Path

# A shorter name is one letter away from too many others.
NAME_LENGTH = 6
# Within a name, words as short as DEV and QA, A and B, differ on purpose.
WORD_LENGTH = 4
# After so many names that nothing defines, the file as a whole is wrong.
NAMES_LIMIT = 100
# Names that runner, shell and tools read, and that are set nowhere in a file.
READ_BY_TOOLS = ("FF_", "LC_", "BASH_", "npm_")

# Assigned in a script, a key of the file, a word of `read`, `for`, `export` and the like: all count as definitions.
_DEFINED = re.compile(
    r"(?<!\w)([A-Za-z_]\w*+)[\"']?(?:\[[^\]\n]{0,80}\])?\s{0,20}(?:[:+?]?=(?![=~])|:)"
    r"|\b(?:read|for|select|export|local|declare|typeset|readonly|getopts|mapfile|readarray|printf\s+-v)"
    r"\s{1,20}((?:-\w{1,9}\s{1,20}){0,5}[\w \t]{1,200})",
    re.ASCII,
)
_USED = re.compile(r"\\.|\$\$|\$(?:([A-Z][A-Z0-9_]{2,})|\{([A-Z][A-Z0-9_]{2,})\})", re.ASCII | re.DOTALL)
# A script that asks whether a variable is there can do without it.
_ASKED = re.compile(r"-[nzv]\s{1,9}[\"']?\$?\{?([A-Z]\w*)", re.ASCII)
# What no file may hold is in the project's settings.
_SETTINGS = re.compile(r"TOKEN|PASS|SECRET|KEY|USER|LOGIN|CREDENTIAL|WEBHOOK|CERT|AUTH|_PAT$|DSN")
_QUOTED = re.compile(r"'[^'\n]*'")
# What may define variables that are seen nowhere.
_SOURCED = re.compile(
    r"(?:^[ \t-]*|[\[,:;&|(][ \t]*|\b(?:then|do|else)[ \t]+)[\"']?(?:source|\.|eval|set[ \t]+-a)[ \t]+\S"
    r"|\bdotenv\b|export\s+[\"']?\$|\$env:",
    re.MULTILINE,
)
_EXPANDED = ("image", "services", "variables", "environment", "cache", "artifacts", "tags", "resource_group", "release")


def check_variables(document: Document, others: str = "") -> Iterator[Finding]:
    """One finding for each name that nothing defines, at its first use; `others` is the text of files included."""
    text = f"{document.text}\n{others}"
    defined = _defined(text) | GITLAB | SHELL
    hidden = document.outside or bool(_SOURCED.search(text))
    said: set[str] = set()
    for name, line, column in _uses(document):
        if name in defined or name in said or name.startswith(READ_BY_TOOLS):
            continue
        if len(said) == NAMES_LIMIT:
            return
        said.add(name)
        near = _one_letter_away(name, defined)
        if near:
            message = f"nothing defines ${name}; ${near} is meant, as it seems"
            yield Finding("misspelt-variable", "error", PIPELINE, line, column, message, near)
        elif not (hidden or _SETTINGS.search(name)):
            message = f"nothing in this file defines ${name}; unless the project's settings do, it is empty"
            yield Finding("undefined-variable", "warning", PIPELINE, line, column, message)


def _defined(text: str) -> frozenset[str]:
    found: set[str] = set()
    for match in _DEFINED.finditer(text):
        found.update((match[1] or match[2] or "").split())
    return frozenset(found.union(_ASKED.findall(text)))


def _uses(document: Document) -> Iterator[tuple[str, int, int]]:
    """Name, line and column of each use in commands, in conditions, and in the values that GitLab expands."""
    for command in commands_of(document):
        for name in _names(_QUOTED.sub("", command.text)):
            yield name, command.line, command.column
    for top, body in document.root.items():
        if isinstance(body, dict):
            for key in body if top in ("variables", "image") else _EXPANDED:
                yield from _in_value(document, body.get(key), (top, key))
            yield from _in_conditions(document, top, body)
        elif top in ("image", "services"):
            yield from _in_value(document, body, (top,))


def _in_conditions(document: Document, top: str, body: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    """GitLab's own names alone: a condition may well ask whether a variable is there."""
    for number, rule in enumerate(listed(body.get("rules"))):
        expression = rule.get("if") if isinstance(rule, dict) else None
        for name in _names(expression) if isinstance(expression, str) else ():
            if name.startswith("CI_"):
                yield name, *document.position_of((top, "rules", number, "if"))


def _in_value(document: Document, value: Any, path: Path) -> Iterator[tuple[str, int, int]]:
    if isinstance(value, str):
        for name in _names(value):
            yield name, *document.position_of(path)
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _in_value(document, item, (*path, key))


def _names(text: str) -> Iterator[str]:
    for match in _USED.finditer(text):
        name = match[1] or match[2]
        if name:
            yield name


def _one_letter_away(name: str, defined: frozenset[str]) -> str | None:
    """The defined name from which this one differs by one letter: one more, one less, another, or two swapped."""
    if len(name) < NAME_LENGTH:
        return None
    return next((known for known in sorted(defined) if known.isupper() and _one_edit(name, known)), None)


def _one_edit(name: str, known: str) -> bool:
    """Whether one edit of letters makes one of the other; digits, _ and an S at the end differ on purpose."""
    if abs(len(name) - len(known)) > 1:
        return False
    start = next((n for n, (a, b) in enumerate(zip(name, known, strict=False)) if a != b), min(len(name), len(known)))
    left, right = name[start:], known[start:]
    word = name[:start].rpartition("_")[2] + left.partition("_")[0]
    if not (left[:1] + right[:1]).isalpha() or "S" in (left, right) or len(word) < WORD_LENGTH:
        return False
    swapped = len(left) > 1 and left[:2] == right[1::-1] and left[2:] == right[2:]
    return swapped or left[1:] == right[1:] or left[1:] == right or left == right[1:]
