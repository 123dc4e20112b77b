"""Whether the log keeps its promises: one event per subject, every cause, every run's end; pure.

What is read comes in one message after the other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.history import fold
from shared.topology import INTAKE_SUBJECT, TOPOLOGY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.bus import Recorded
    from shared.events import BlobRef

READER = {row.reads.type: row.service for row in TOPOLOGY if row.reads}
CAUSE_IN_DLQ = "dlq."


@dataclass
class Audit:
    """What was found so far. Feed it every message, then ask for its findings."""

    buried: frozenset[int] = frozenset()
    messages: int = 0
    events: int = 0
    first: int = 0
    problems: list[str] = field(default_factory=list)
    blobs: dict[str, BlobRef] = field(default_factory=dict)
    _subjects: dict[str, int] = field(default_factory=dict)
    _causes: list[tuple[str, str, int]] = field(default_factory=list)
    _runs: dict[str, list[Recorded]] = field(default_factory=dict)

    def message(self, subject: str, sequence: int, events: Iterable[Recorded]) -> None:
        """One message of the stream, and the event that it is (none where it is no event)."""
        self.messages += 1
        self.first = self.first or sequence
        found = list(events)
        if subject != INTAKE_SUBJECT:
            self._subject(subject, sequence, known=bool(found))
        else:
            self._subjects[subject] = sequence
        for record in found:
            self._event(record)

    def _subject(self, subject: str, sequence: int, *, known: bool) -> None:
        if subject in self._subjects:
            self.problems.append(f"{subject} holds two events, at {self._subjects[subject]} and {sequence}")
        elif not known and sequence not in self.buried:
            self.problems.append(f"{subject} at {sequence} is no event, and no dead letter says so")
        self._subjects.setdefault(subject, sequence)

    def _event(self, record: Recorded) -> None:
        self.events += 1
        self._runs.setdefault(record.event.run_id, []).append(record)
        if record.cause:
            self._causes.append((record.subject, record.cause, record.sequence))
        self.blobs |= {ref.key: ref for ref in blobs_in(record.event)}

    def causes(self) -> list[str]:
        """A sentence for each cause that is not in the log before its effect, though the log reaches back that far."""
        found = []
        for subject, cause, sequence in self._causes:
            at = self._subjects.get(cause)
            aged_out = at is None and self.first > 1 and self._begun_before(subject)
            if (at is None and not aged_out and not cause.startswith(CAUSE_IN_DLQ)) or (at or 0) > sequence:
                found.append(f"{subject} was caused by {cause}, which is not before it in the log")
        return found

    def _begun_before(self, subject: str) -> bool:
        """Whether the beginning of the event's run is older than the log's first message."""
        run_id = subject.split(".")[2]
        return f"{INTAKE_SUBJECT}.{run_id}.1" not in self._subjects

    def runs(self, acknowledged: Mapping[str, int]) -> tuple[Counter[str], list[str]]:
        """How many runs stand how, and a sentence for each that stopped without an end.

        `acknowledged` says for each service up to which sequence all is acknowledged; from before the log was read.
        """
        states: Counter[str] = Counter()
        lost = []
        for run_id, records in self._runs.items():
            state = fold(records).status
            last = max(records, key=lambda record: record.sequence)
            service = READER.get(last.event.type)
            states[state] += 1
            if last.imported:
                continue
            if state == "running" and service and last.sequence <= acknowledged.get(service, 0):
                lost.append(f"run {run_id} stopped at {last.subject}: the {service} took it and nothing followed")
            elif state == "running" and service is None:
                lost.append(f"run {run_id} stopped at {last.subject}, which no service reads")
        return states, lost


def blobs_in(event: Any) -> list[BlobRef]:
    """What the event refers to in the object store."""
    found = [getattr(event, "contents", None)]
    pipeline = getattr(event, "pipeline", None)
    found += [job.trace for job in pipeline.jobs] if pipeline else []
    return [ref for ref in found if ref]


def floors(infos: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, int]:
    """For each consumer's description the sequence up to which all is acknowledged."""
    return {name: int(info.get("ack_floor", {}).get("stream_seq", 0)) for name, info in infos}
