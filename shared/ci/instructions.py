"""A Dockerfile as instructions with their lines (Docker's Dockerfile reference: parser directives, heredocs)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_LIMIT = 64_000

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(.+?)\s*$")
# A heredoc is a word of its own: neither a part of one (`1<<8`, `<<<x`) nor in quotes.
_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+""")
_HEREDOC = re.compile(r"""\d*<<(-?)(["']?)([^<"'\s]+)\2""")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


class Instruction(NamedTuple):
    """One instruction, its continuation lines joined; `word` in upper case, `line` from 1."""

    line: int
    word: str
    rest: str


def directives(text: str) -> dict[str, str]:
    """The parser directives: comments of the form `# key=value` before anything else but `#!`, which BuildKit skips."""
    found: dict[str, str] = {}
    lines = _lines(text)
    for line in lines[lines[:1] != [] and lines[0].startswith("#!") :]:
        match = _DIRECTIVE.match(line)
        if not match or match[1].lower() in found:
            break
        found[match[1].lower()] = match[2]
    return found


def instructions(text: str) -> list[Instruction]:
    """The instructions in their order; comments, empty lines and the bodies of heredocs are left out."""
    return [instruction for instruction, _ in _walk(text)]


def heredocs(text: str) -> Iterator[Instruction]:
    """Each line in the body of a heredoc, under the word of the instruction that opens it."""
    for instruction, body in _walk(text):
        yield from (Instruction(line, instruction.word, words) for line, words in body)


def _walk(text: str) -> Iterator[tuple[Instruction, list[tuple[int, str]]]]:
    """Each instruction with the lines of its heredocs, number (from 1) and text."""
    lines = _lines(text)
    escape = directives(text).get("escape", "\\")
    number = 0
    while number < len(lines):
        parts: list[str] = []
        start, number = _gather(lines, number, escape, parts)
        word, _, rest = "".join(parts).strip().partition(" ")
        if word:
            first = number
            number = _after_heredocs(lines, number, rest) if word.upper() in _WITH_HEREDOCS else number
            body = list(enumerate(lines[first:number], first + 1))
            yield Instruction(start, word.upper(), rest.strip()), body


def _gather(lines: list[str], number: int, escape: str, parts: list[str]) -> tuple[int, int]:
    """Append the text of one instruction to `parts`; its first line (from 1), and the number of the line after it."""
    start = number + 1
    while number < len(lines):
        line = lines[number].replace("\t", " ").rstrip()
        number += 1
        if line.lstrip().startswith("#") or not line:
            continue
        start = start if parts else number
        parts.append(line.removesuffix(escape))
        if not line.endswith(escape):
            break
    return start, number


def _after_heredocs(lines: list[str], number: int, rest: str) -> int:
    """The number of the line after the heredocs that an instruction opens; unclosed ones run to the end."""
    for heredoc in filter(None, map(_HEREDOC.fullmatch, _WORD.findall(rest))):
        tabs, end = ("\t" if heredoc[1] else ""), heredoc[3]
        while number < len(lines) and lines[number].lstrip(tabs) != end:
            number += 1
        number += 1
    return number


def _lines(text: str) -> list[str]:
    """The lines as Docker counts them: no other character than a line feed ends one."""
    return [line.removesuffix("\r") for line in text[:SIZE_LIMIT].split("\n")]
