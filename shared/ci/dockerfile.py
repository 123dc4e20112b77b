"""A Dockerfile as instructions with lines, and what is wrong with them (Docker's Dockerfile reference)."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from shared.ci.finding import DOCKERFILE, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTRUCTIONS = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"}
    | {"ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
SIZE_LIMIT = 64_000
SOURCE_AND_TARGET = 2

_FLAGS = re.IGNORECASE | re.ASCII
_FROM = re.compile(
    r"(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+as\s+(?P<stage>[a-z][\w.-]*))?", re.IGNORECASE | re.ASCII
)
_FLAG_FROM = re.compile(r"--from=(\S+)")
_HEREDOC = re.compile(r"<<-?\s*([\"']?)(\w+)\1", re.ASCII)
_ESCAPE = re.compile(r"#\s*escape\s*=\s*`", re.IGNORECASE)


class Instruction(NamedTuple):
    """One instruction, its continuation lines joined; `word` in upper case, `line` from 1."""

    line: int
    word: str
    rest: str


@dataclass
class _Stages:
    """The build stages seen on the way down."""

    count: int = 0
    names: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """Whether a name or a number means an earlier stage."""
        return name.lower() in self.names or (name.isdecimal() and name.isascii() and int(name[:6]) < self.count - 1)


def instructions(text: str) -> list[Instruction]:
    """The instructions in their order; comments, empty lines and the bodies of heredocs are left out."""
    found: list[Instruction] = []
    lines = text[:SIZE_LIMIT].splitlines()
    escape = "`" if lines and _ESCAPE.match(lines[0]) else "\\"
    number = 0
    while number < len(lines):
        start, parts = number + 1, list[str]()
        number = _gather(lines, number, escape, parts)
        word, _, rest = " ".join(parts).strip().partition(" ")
        if word:
            found.append(Instruction(start, word.upper(), rest.strip()))
            number = _after_heredocs(lines, number, rest) if word.upper() in ("RUN", "COPY", "ADD") else number
    return found


def _gather(lines: list[str], number: int, escape: str, parts: list[str]) -> int:
    """Append the text of one instruction to `parts`; the number of the line after it."""
    while number < len(lines):
        line = lines[number].replace("\t", " ").strip()
        number += 1
        if line.startswith("#") or (not line and parts):
            continue
        parts.append(line.removesuffix(escape).strip())
        if not line.endswith(escape):
            break
    return number


def _after_heredocs(lines: list[str], number: int, rest: str) -> int:
    """The number of the line after the heredocs that an instruction opens; unclosed ones run to the end."""
    for _, end in _HEREDOC.findall(rest):
        while number < len(lines) and lines[number].strip() != end:
            number += 1
        number += 1
    return number


def check_dockerfile(text: str) -> Iterator[Finding]:
    """Every finding about the Dockerfile as a Dockerfile; its images are the policy's business."""
    if len(text) > SIZE_LIMIT:
        yield _finding(1, "dockerfile-size", f"the file has {len(text)} characters, more than {SIZE_LIMIT}")
    stages = _Stages()
    for instruction in instructions(text):
        if instruction.word not in INSTRUCTIONS:
            yield _unknown(instruction)
        elif instruction.word == "FROM":
            yield from _from(instruction, stages)
        elif not stages.count and instruction.word != "ARG":
            yield _finding(
                instruction.line, "dockerfile-before-from", f"{instruction.word} stands before the first FROM"
            )
        elif instruction.word in ("COPY", "ADD"):
            yield from _copy(instruction, stages)
        elif not instruction.rest:
            yield _finding(instruction.line, "dockerfile-arguments", f"{instruction.word} has no argument")
    if not stages.count:
        yield _finding(1, "dockerfile-no-from", "there is no FROM: an image is built from a parent image")


def _unknown(instruction: Instruction) -> Finding:
    near = next(iter(difflib.get_close_matches(instruction.word, INSTRUCTIONS, 1)), None)
    message = f"{instruction.word[:40]!r} is no Dockerfile instruction"
    return _finding(instruction.line, "dockerfile-instruction", message, near)


def _from(instruction: Instruction, stages: _Stages) -> Iterator[Finding]:
    stages.count += 1
    match = _FROM.fullmatch(instruction.rest)
    if not match:
        message = f"FROM {instruction.rest[:60]!r} is not 'FROM image' or 'FROM image AS name'"
        yield _finding(instruction.line, "dockerfile-arguments", message)
    elif match["stage"]:
        stages.names.add(match["stage"].lower())


def _copy(instruction: Instruction, stages: _Stages) -> Iterator[Finding]:
    words = [word for word in instruction.rest.split() if not word.startswith("--")]
    if len(words) < SOURCE_AND_TARGET and not instruction.rest.lstrip("-").startswith("["):
        yield _finding(instruction.line, "dockerfile-arguments", f"{instruction.word} needs a source and a target")
    for name in _FLAG_FROM.findall(instruction.rest):
        if not stages.has(name) and "/" not in name:
            near = next(iter(difflib.get_close_matches(name.lower(), stages.names, 1)), None)
            message = f"{instruction.word} --from={name} names no earlier stage and no image with its registry"
            yield _finding(instruction.line, "dockerfile-copy-from", message, near and f"--from={near}")


def _finding(line: int, rule: str, message: str, fix: str | None = None) -> Finding:
    return Finding(rule, "error", DOCKERFILE, line, 1, message, fix)
