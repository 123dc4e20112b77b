"""The healer measured: how often the classifier is right about real logs, and how much of that hangs on single words.

`python -m bench.healing LOGS [--words]`; LOGS has one JSON object a line (gzipped where it is named .gz): `text` (an
excerpt), `log` (the end of the whole log, where there is one), `label`, `id`, `tool`. A label that is no class of
greenrun's is right where the answer is unknown.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from services.healer.classify import Diagnosis, classify_text
from services.healer.decide import ADVICE, REPORTED
from services.healer.table import TABLE, UNKNOWN, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AIMS = {"text": 0.95, "log": 0.93}
NAMES = {"text": "excerpts", "log": "whole logs"}
LONG = 500
CLASSES = ADVICE.keys() | REPORTED.keys()


@dataclass(frozen=True)
class Case:
    """One failure: its name, what it is, and what the job printed."""

    name: str
    expected: str
    trace: str


def cases(logs: Path, field: str) -> list[Case]:
    """The failures that have this field."""
    data = logs.read_bytes()
    text = (gzip.decompress(data) if logs.suffix == ".gz" else data).decode()
    rows = [json.loads(line) for line in text.split("\n") if line]
    return [
        Case(f"{row['id']} ({row['tool']})", row["label"] if row["label"] in CLASSES else UNKNOWN, row[field])
        for row in rows
        if row.get(field)
    ]


def accuracy(logs: Path, field: str) -> None:
    """Print the share that is right against the aim, the misses by name, and the time of each."""
    found, times = [], []
    for case in cases(logs, field):
        began = time.process_time()
        found.append((case, classify_text(case.trace)))
        times.append((time.process_time() - began) * 1000)
    wrong = [(case, said) for case, said in found if said.error_class != case.expected]
    right = len(found) - len(wrong)
    share = 100 * right / len(found)
    print(f"{NAMES[field]:12} {right:3}/{len(found):<3} {share:5.1f} %  aim {100 * AIMS[field]:.0f} %")
    for case, said in wrong:
        print(f"    {case.name}: {case.expected} expected, {said.error_class} said: {said.evidence.text[:100]!r}")
    print(f"    milliseconds median {statistics.median(times):.1f}, most {max(times):.1f}")
    _sure(found)


def _sure(found: Sequence[tuple[Case, Diagnosis]]) -> None:
    """How often the answers of each confidence are right."""
    for low, high in ((0.0, 0.6), (0.6, 0.9), (0.9, 1.01)):
        said = [(case, one) for case, one in found if low <= one.confidence < high]
        right = sum(case.expected == one.error_class for case, one in said)
        print(f"    confidence {low:.1f} to {min(high, 1):.1f}: {right} of {len(said)} right")


def deciding(case: Case, said: Diagnosis) -> Iterator[str]:
    """The words of the table that gave a right answer its class."""
    if case.expected == said.error_class:
        rows = (row for row in TABLE if row.error_class == said.error_class)
        yield from (w for row in rows for w in row.words if re.search(w, said.evidence.text, re.IGNORECASE))


def leave_out(logs: Path, field: str, *, words: bool) -> None:
    """Each failure judged without the words that decide about it alone: a lower bound for logs never seen."""
    found = [(case, classify_text(case.trace)) for case in cases(logs, field)]
    uses = Counter(word for case, said in found for word in deciding(case, said))
    right = 0
    for case, said in found:
        own = {word for word in deciding(case, said) if uses[word] == 1}
        answer = classify_text(case.trace, table=_without(own)) if own else said
        right += answer.error_class == case.expected
        if words and own:
            print(f"    {case.name}: {case.expected}, then {answer.error_class}; without {', '.join(sorted(own))}")
    single = sum(1 for count in uses.values() if count == 1)
    print(
        f"{NAMES[field]:12} {right:3}/{len(found):<3} {100 * right / len(found):5.1f} %  without the words of its own"
    )
    print(f"    {single} of the {len(uses)} words that decide decide about one failure alone")


def halves(logs: Path) -> None:
    """The first half of each long log, in which the job still ran: a class other than the label is a false alarm."""
    long = [case for case in cases(logs, "log") if case.trace.count("\n") >= LONG]
    said = [(case, classify_text(case.trace[: len(case.trace) // 2])) for case in long]
    false = [(case, one) for case, one in said if one.error_class not in {UNKNOWN, case.expected}]
    print(f"first halves {len(false):3}/{len(said):<3} false alarms")
    for case, one in false:
        print(f"    {case.name}: {one.error_class} said: {one.evidence.text[:100]!r}")


def _without(words: set[str]) -> list[Row]:
    return [left for row in TABLE if (left := row.without(words))]


def main() -> None:
    """Accuracy from excerpts and from whole logs, the same with each failure's own words left out, and false alarms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, help="labelled logs")
    parser.add_argument("--words", action="store_true", help="name the words that decide about one failure alone")
    options = parser.parse_args()
    for field in NAMES:
        accuracy(options.logs, field)
    for field in NAMES:
        leave_out(options.logs, field, words=options.words)
    halves(options.logs)


if __name__ == "__main__":
    main()
