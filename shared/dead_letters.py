"""What could not be handled, and what a person made of it: delivered again, or let go.

A letter stays in the DLQ stream as it is. What became of it is a message beside it, on `<its subject>.settled`, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared import retry
from shared.errors import GreenrunError
from shared.events import EVENT_TYPES, RepoSubmitted, Submission, adopted_run_id
from shared.topology import INTAKE_SUBJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from shared.bus import Bus, Recorded
    from shared.retry import Plan

Outcome = Literal["redriven", "discarded"]
SETTLED = "settled"


class NotRedrivable(GreenrunError):  # noqa: N818 - what the letter is
    """The letter cannot be delivered again; the text says why and what to do instead."""


@dataclass(frozen=True)
class Settled:
    """What a person made of a letter: `next` is the subject that was published for it, empty where it was let go."""

    outcome: Outcome
    by: str | None
    time: datetime | None = None
    reason: str = ""
    next: str = ""

    def headers(self) -> dict[str, str]:
        """As it is stored."""
        said = {
            "outcome": self.outcome,
            "by": self.by or "",
            "reason": " ".join(self.reason.split()),
            "next": self.next,
        }
        return {f"greenrun-{name}": value for name, value in said.items() if value}


@dataclass(frozen=True)
class DeadLetter:
    """What could not be decoded or handled by a service.

    `sequence` is its place in EVENTS, `subject` its subject there, `body` its bytes.
    `settled` is what a person made of it; None where it still waits for one.
    """

    service: str
    sequence: int
    subject: str
    reason: str
    time: datetime
    body: bytes = b""
    settled: Settled | None = None

    @property
    def id(self) -> str:
        """By what a person names it: `<service>.<sequence>`."""
        return f"{self.service}.{self.sequence}"

    @property
    def run_id(self) -> str | None:
        """The run that it belongs to; None for a bare submission, which has none yet."""
        tokens = self.subject.split(".")
        return tokens[2] if len(tokens) == 4 else None  # noqa: PLR2004 - <type>.<run>.<attempt>

    @property
    def stored_as(self) -> str:
        """Its own subject in the DLQ."""
        return f"dlq.{self.id}"


def letter_of(subject: str, body: bytes, headers: Mapping[str, str], time: datetime) -> DeadLetter:
    """The letter of a stored message on `dlq.<service>.<sequence>`."""
    _, service, sequence = subject.split(".")
    about, reason = headers.get("greenrun-subject", ""), headers.get("greenrun-reason", "")
    return DeadLetter(service, int(sequence), about, reason, time, body)


def settled_of(headers: Mapping[str, str], time: datetime) -> Settled:
    """What the message beside a letter says."""
    outcome: Outcome = "redriven" if headers.get("greenrun-outcome") == "redriven" else "discarded"
    said = (headers.get(f"greenrun-{name}", "") for name in ("reason", "next"))
    return Settled(outcome, headers.get("greenrun-by"), time, *said)


def waiting(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Those that nobody has settled."""
    return [letter for letter in letters if letter.settled is None]


def plan(letter: DeadLetter, records: Sequence[Recorded], now: datetime) -> Plan:
    """How to deliver the letter's event again, under its run's next attempt; NotRedrivable where that cannot be."""
    if not any(record.subject == letter.subject for record in records):
        raise NotRedrivable(f"{letter.subject or letter.id} is no event that can be read; discard the letter")
    first, second, run_id, attempt = letter.subject.split(".")
    latest = max(record.event.attempt for record in records)
    if latest > int(attempt):
        why = f"the run has gone on since, it is at attempt {latest}"
        raise NotRedrivable(f"{why}; discard the letter, or go on from there with: greenrun retry {run_id}")
    return retry.plan(records, f"{first}.{second}.{attempt}", now=now)


def submission_of(letter: DeadLetter, stored_at: datetime) -> RepoSubmitted:
    """The run of a bare submission; NotRedrivable where the body is none. Its id is the one that it would have had."""
    try:
        submission = Submission.model_validate_json(letter.body)
    except ValueError as error:
        raise NotRedrivable(f"{letter.id} is no submission that can be read; discard the letter") from error
    return RepoSubmitted(run_id=adopted_run_id(letter.sequence, stored_at), **submission.model_dump())


async def redrive(bus: Bus, letter: DeadLetter, *, source: str, by: str | None, now: datetime) -> str:
    """The subject of the event that was published for the letter, which is settled by it.

    Raises NotRedrivable and NotRetryable where that cannot be, Conflict where somebody was first.
    """
    refuse_settled(letter)
    if letter.subject == INTAKE_SUBJECT:
        event = submission_of(letter, await bus.stored_at(letter.sequence) or letter.time)
        await bus.publish(event, source=source, cause=letter.stored_as, by=by)
        subject = event.subject
    elif letter.run_id and ".".join(letter.subject.split(".")[:2]) in EVENT_TYPES:
        made = plan(letter, await bus.history(letter.run_id), now)
        await bus.retry(made, source=source, by=by)
        subject = made.event.subject
    else:
        raise NotRedrivable(f"{letter.subject or letter.id} is no event that is known here; discard the letter")
    await bus.settle(letter, Settled("redriven", by, next=subject))
    return subject


async def discard(bus: Bus, letter: DeadLetter, *, by: str | None, reason: str = "") -> None:
    """Let the letter go, with who did it and why; Conflict where somebody settled it meanwhile."""
    refuse_settled(letter)
    await bus.settle(letter, Settled("discarded", by, reason=reason))


def refuse_settled(letter: DeadLetter) -> None:
    """NotRedrivable where a person has made something of it already."""
    if letter.settled:
        done = letter.settled
        who, when = done.by or "somebody", f"{done.time:%Y-%m-%d %H:%M} UTC" if done.time else "before"
        raise NotRedrivable(f"{letter.id} was {done.outcome} by {who}, {when}")
