"""What a pipeline runs, once extends, references and variables are put in: the same words that the shell will see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shared.ci.commands import Command, commands_of
from shared.ci.finding import PIPELINE
from shared.ci.needs import listed
from shared.ci.variables import declared, expand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shared.ci.document import Document, Path

SCRIPTS = ("before_script", "script", "after_script")
# Of one command with its variables put in, more is not looked at.
FORM_LIMIT = 10_000

_ASSIGNED = re.compile(
    r"(?:^|[;&|\s])([A-Za-z_]\w*)=(\"[^\"]{0,500}\"|'[^']{0,500}'|\$\([^()]{0,500}\)|[^\s;&|]{0,500})", re.ASCII
)
_IFS = re.compile(r"\$\{?IFS\b\}?")
# Quotes and backslashes that only part the letters of a word.
_PARTED = re.compile(r"\\(?=[A-Za-z])|(?<=\w)([\"'])\1(?=\w)|(?<=\w)([\"'])(?=\w+\2)|(?<![\w\"'])([\"'])(?=\w+\3\w)")


def executed(document: Document) -> dict[str, list[Command]]:
    """Top-level name → the commands as written there, and those that a job of that name runs besides."""
    found: dict[str, list[Command]] = {}
    for command in commands_of(document):
        found.setdefault(str(command.path[0]), []).append(command)
    known = {command.text: command for commands in found.values() for command in commands}
    for name, job in document.resolved.items():
        own = found.setdefault(name, [])
        here = {command.text for command in own}
        brought = {text: path for text, path in _of_job(document, name, job) if text not in here}
        own += [known.get(text) or _at(document, text, path) for text, path in brought.items()]
    return found


def known_to(document: Document, name: str) -> dict[str, str]:
    """The variables with which a job's commands run, as far as the file has them."""
    return {**document.variables, **declared((document.resolved.get(name) or {}).get("variables"))}


def assigned(texts: Iterable[str]) -> dict[str, str]:
    """Name → value of what commands assign to variables of the shell."""
    found = {match[1]: match[2].strip("\"'") for text in texts for match in _ASSIGNED.finditer(text) if match[2]}
    return {name: value for name, value in found.items() if f"${name}" not in value and f"${{{name}" not in value}


def forms(command: str, known: Mapping[str, str]) -> tuple[str, ...]:
    """The command as written, and where that is another text, with its variables and parted words put together."""
    whole, _ = expand(command, known) if "$" in command else (command, "")
    whole = _PARTED.sub("", _IFS.sub(" ", whole[:FORM_LIMIT]))
    return (command,) if whole == command else (command, whole)


def _at(document: Document, text: str, path: Path) -> Command:
    line, column = document.position_of(path)
    return Command(text, document.file_of(path, PIPELINE), line, column, path)


def _of_job(document: Document, name: str, job: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Each line that a resolved job runs with the path of its section; commands of images and services too."""
    for key in SCRIPTS:
        for line in _lines(job.get(key)):
            yield line, document.origin_of(name, key)
    started = [("image", job.get("image")), *(("services", one) for one in listed(job.get("services")))]
    for key, one in started:
        for word in ("entrypoint", "command") if isinstance(one, dict) else ():
            text = " ".join(_lines(one.get(word)))
            if text.strip():
                yield text, document.origin_of(name, key)


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from value.replace("\\\n", "").splitlines()
    elif isinstance(value, list):
        for item in value:
            yield from _lines(item)
