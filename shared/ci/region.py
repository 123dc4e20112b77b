"""The failing region of a job's trace: what its last command said, cleaned of what only a terminal needs."""

from __future__ import annotations

import re
from typing import NamedTuple

# A trace can be anything; only its end is read, and long lines are cut.
BYTES_LIMIT = 400_000
LINE_HEAD = 500
LINE_TAIL = 300
LINE_READ = 10_000
REGION_LINES = 80
WIDE_LINES = 600

_ANSI = re.compile(r"\x1b(?:\[[0-9;:?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[@-Z\\^_])")
_SECTION = re.compile(r"section_(?:start|end):\d{1,12}:[\w.\[\]=,-]{0,120}")
_CLOCK = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z ?(?:\d\d[OE][+ ]?)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")
# The line with which runners and shells report the end of the command that failed.
_EXIT = re.compile(
    r"^ERROR: Job failed|^##\[error\]|^The command \"|exited with (?:code |status )?\d|exit (?:status|code):? \d"
    r"|did not complete successfully|returned a non-zero code|^make(?:\[\d+\])?: \*\*\* ",
    re.IGNORECASE,
)


class Line(NamedTuple):
    """One line of the trace; `number` counts from 1 in what was read of it."""

    number: int
    text: str


def lines_of(trace: bytes | str) -> list[Line]:
    """The cleaned lines at the end of a trace, empty ones left out; never more than the limits allow."""
    tail = trace[-BYTES_LIMIT:]
    before = trace[: len(trace) - len(tail)]
    first = (before.count(b"\n") if isinstance(before, bytes) else before.count("\n")) + 1
    text = tail.decode("utf-8", "replace") if isinstance(tail, bytes) else tail
    found = [Line(first + number, _clean(line)) for number, line in enumerate(text.split("\n"))]
    return [line for line in found if line.text]


def failing_region(lines: list[Line], size: int = REGION_LINES) -> list[Line]:
    """At most `size` lines, up to the last exit marker where there is one."""
    ends = [number for number, line in enumerate(lines, start=1) if _EXIT.search(line.text)]
    end = ends[-1] if ends else len(lines)
    return lines[max(0, end - size) : end]


def _clean(line: str) -> str:
    """One line without colours, section markers and what a carriage return wrote over."""
    line = _SECTION.sub("", _ANSI.sub("", line[:LINE_READ])).rstrip("\r")
    shown = line.rsplit("\r", 1)[-1]
    text = _CONTROL.sub("", _CLOCK.sub("", shown)).rstrip()
    return text if len(text) <= LINE_HEAD + LINE_TAIL else f"{text[:LINE_HEAD]} … {text[-LINE_TAIL:]}"
