"""`greenrun classify`: why a job failed, from the log it left, without anything running."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rich.markup import escape

from services.healer.classify import Diagnosis, classify_text
from shared.ci.region import BYTES_LIMIT
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from rich.console import Console

STDIN = "-"
CHUNK = 1 << 20
# A log is read to its end to number its lines; what never ends is given up after this many bytes.
READ_LIMIT = 16 << 30


@dataclass(frozen=True)
class Tail:
    """The end of a log, and how many lines stood before it."""

    data: bytes
    before: int


def classify(name: str, failure_reason: str | None = None, exit_code: int | None = None) -> Diagnosis:
    """The diagnosis of one log, a file or standard input, with what GitLab said of its job.

    GreenrunError says in one sentence why the log cannot be read.
    """
    tail = read(name)
    return classify_text(tail.data, failure_reason=failure_reason, exit_code=exit_code, before=tail.before)


def read(name: str) -> Tail:
    """The end of a file or of standard input; GreenrunError says in one sentence why it cannot be read."""
    try:
        if name == STDIN:
            return tail_of(sys.stdin.buffer)
        mode = Path(name).stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise GreenrunError(f"{name} cannot be read: it is not a file")
        with Path(name).open("rb") as log:
            return tail_of(log)
    except (OSError, ValueError) as error:
        raise GreenrunError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def tail_of(log: BinaryIO) -> Tail:
    """The last bytes of a log of any size, read in pieces: memory stays bounded."""
    tail, before, size = b"", 0, 0
    while piece := log.read(CHUNK):
        size += len(piece)
        if size > READ_LIMIT:
            raise GreenrunError(f"the log is larger than {READ_LIMIT} bytes")
        tail += piece
        before += tail.count(b"\n", 0, max(0, len(tail) - BYTES_LIMIT))
        tail = tail[-BYTES_LIMIT:]
    return Tail(tail, before)


def as_json(name: str, found: Diagnosis) -> str:
    """One line of JSON: file, class, evidence (the text of its line) and line, confidence, and what else is known."""
    row = {
        "file": name,
        "class": found.error_class,
        "evidence": found.evidence.text,
        "line": found.evidence.line,
        "confidence": found.confidence,
        "tool": found.tool or None,
        "section": found.section or None,
        "exit_code": found.exit_code,
        "runners_up": [{"class": rival.error_class, "confidence": rival.confidence} for rival in found.runners_up],
    }
    return json.dumps(row, ensure_ascii=False)


def show(name: str, found: Diagnosis, console: Console) -> None:
    """One log for people: class and how sure, the line that says it, and what else it could be."""
    place = f"{name}:{found.evidence.line}" if found.evidence.line else name
    said = f", says {found.tool}" if found.tool else ""
    told = [
        f"{escape(place)}: [bold]{found.error_class}[/] ({found.confidence:.0%}{escape(said)})",
        f"    {escape(found.evidence.text)}",
    ]
    if found.runners_up:
        others = ", ".join(f"{rival.error_class} ({rival.confidence:.0%})" for rival in found.runners_up)
        told.append(f"    [dim]or: {others}[/]")
    for line in told:
        console.print(line, soft_wrap=True, highlight=False)
