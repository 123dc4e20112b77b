"""A process that looks for lines which keep a pattern busy; `python -m tests.healer.pattern_search SECONDS < PATTERNS`.

Each pattern is named before it is tried and gets so many seconds of processor time; the kernel ends the process that
takes longer.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.ci.region import LINE_HEAD, LINE_TAIL

LENGTH = LINE_HEAD + LINE_TAIL + 3
EXAMPLES = 40
ODDS = "aA0 .:-/'\"()=x[],_\t#$@"
ENDS = ("", "!", "\0")


def pieces(pattern: str) -> set[str]:
    """The words that a pattern spells out, and its odds and ends."""
    return {*re.findall(r"[A-Za-z0-9_:/ -]{2,}", re.sub(r"\\[a-zA-Z]", "", pattern)), *ODDS, "a ", "0.", "a/"}


def repeated(unit: str, end: str = "") -> str:
    """A longest line of one unit, with an end that may not match."""
    return (unit * LENGTH)[: LENGTH - len(end)] + end


def anything() -> list[str]:
    """Lines of repeated odds and ends that hypothesis makes up."""
    found: list[str] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.text(ODDS, min_size=1, max_size=12), st.text(ODDS, max_size=20), st.text(ODDS + "!\0", max_size=3))
    def collect(unit: str, head: str, end: str) -> None:
        found.append((head + repeated(unit))[: LENGTH - len(end)] + end)

    collect()
    return found


def search(pattern: str, lines: list[str]) -> None:
    """Try one pattern on lines of its own parts and on others."""
    compiled = re.compile(pattern, re.IGNORECASE)
    for line in [repeated(unit, end) for unit in sorted(pieces(pattern)) for end in ENDS] + lines:
        compiled.search(line)


def main() -> None:
    """Try each pattern of standard input."""
    limit = int(sys.argv[1])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    lines = anything()
    for pattern in json.load(sys.stdin):
        print(pattern, flush=True)  # noqa: T201 - what the parent reads
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + limit + 1, hard))
        search(pattern, lines)


if __name__ == "__main__":
    main()
