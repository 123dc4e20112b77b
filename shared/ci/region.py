"""The failing region of a job's trace: what its last command said, cleaned of what only a terminal needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from shared.ci.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

# A trace can be anything; only its end is read, and long lines are cut.
BYTES_LIMIT = 400_000
LINE_HEAD = 500
LINE_TAIL = 300
LINE_READ = 10_000
REGION_LINES = 80
WIDE_LINES = 600
SECTIONS_LIMIT = 20

_ANSI = re.compile(r"\x1b(?:\[[0-9;:?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[@-Z\\^_])")
_SECTION = re.compile(r"section_(?P<edge>start|end):\d{1,12}:(?P<name>[\w.-]{0,80})[\w.\[\]=,-]{0,120}")
# GitLab Runner's own sections around a job: what failed before them is not said in them.
AFTERMATH = frozenset(
    {
        "after_script",
        "archive_cache",
        "archive_cache_on_failure",
        "cleanup_file_variables",
        "upload_artifacts_on_failure",
    }
)
_CLOCK = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z ?(?:\d\d[OE][+ ]?)?")
# What BuildKit writes before each line of a step: its number and the seconds.
_STEP = re.compile(r"^(?:#\d{1,4} )?\d{1,5}\.\d{1,3} (?=\S)|^#\d{1,4} (?=\S)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")
# A word that a limit cuts in two: what is left of a token would not be known as one.
_BROKEN_START = re.compile(r"\A\S{1,300}")
_BROKEN_END = re.compile(r"(?<!\S)\S{1,300}\Z|\S{300}\Z")
_FAILED_COMMAND = re.compile(r'^The command ".{1,700}(?:exited with|failed with status) [1-9]')
# The line with which runners and shells report the end of the command that failed.
_EXIT = re.compile(
    r"^ERROR: Job failed|^##\[error\]|^The command \"|exited with (?:code |status )?\d|exit (?:status|code):? \d"
    r"|did not complete successfully|returned a non-zero code|^make(?:\[\d+\])?: \*\*\* ",
    re.IGNORECASE,
)


class Line(NamedTuple):
    """One line of the trace; `number` counts from 1, `section` is GitLab's name for the part of the job it is in."""

    number: int
    text: str
    section: str = ""


def lines_of(trace: bytes | str, before: int = 0) -> list[Line]:
    """The cleaned lines at the end of a trace, empty ones left out; never more than the limits allow.

    `before` is how many lines stood before what is given.
    """
    tail = trace[-BYTES_LIMIT:]
    cut = trace[: len(trace) - len(tail)]
    first = before + (cut.count(b"\n") if isinstance(cut, bytes) else cut.count("\n")) + 1
    text = tail.decode("utf-8", "replace") if isinstance(tail, bytes) else tail
    return list(_sectioned(_BROKEN_START.sub("", text) if cut or before else text, first))


def of_the_job(lines: list[Line]) -> list[Line]:
    """The lines without the sections that GitLab Runner adds after the job's own commands.

    A job can print any section marker, so what this leaves out is still to be looked at where the rest says nothing.
    """
    return [line for line in lines if line.section not in AFTERMATH]


def _sectioned(text: str, first: int) -> Iterator[Line]:
    """Each line with the innermost section that is open at its end."""
    open_sections: list[str] = []
    for number, line in enumerate(text.split("\n"), start=first):
        _follow(open_sections, line[:LINE_READ])
        cleaned = _clean(line)
        if cleaned:
            yield Line(number, cleaned, open_sections[-1] if open_sections else "")


def _follow(open_sections: list[str], line: str) -> None:
    """Open and close the sections that a line names; an end without its start closes nothing."""
    for marker in _SECTION.finditer(line) if "section_" in line else ():
        if marker["edge"] == "start":
            open_sections.append(marker["name"])
            del open_sections[:-SECTIONS_LIMIT]
        elif marker["name"] in open_sections:
            del open_sections[open_sections.index(marker["name"]) :]


def failing_region(lines: list[Line], size: int = REGION_LINES) -> list[Line]:
    """At most `size` lines, up to the last exit marker where there is one; Travis goes on after a command failed."""
    for marker in (_FAILED_COMMAND, _EXIT):
        end = next((at for at in range(len(lines), 0, -1) if marker.search(lines[at - 1].text)), 0)
        if end:
            return lines[max(0, end - size) : end]
    return lines[-size:]


def _clean(line: str) -> str:
    """One line without colours, section markers, secrets and what a carriage return wrote over."""
    line = _BROKEN_END.sub("", line[:LINE_READ]) if len(line) > LINE_READ else line
    shown = _SECTION.sub("", _ANSI.sub("", line)).rstrip("\r").rsplit("\r", 1)[-1]
    text = masked(_CONTROL.sub("", _STEP.sub("", _CLOCK.sub("", shown))).rstrip())
    return text if len(text) <= LINE_HEAD + LINE_TAIL else f"{text[:LINE_HEAD]} … {text[-LINE_TAIL:]}"
