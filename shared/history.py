"""The state of a run as a pure function of its events; everything that shows state uses this one fold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from shared import events
from shared.events import Fact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# `committed`: the files are on the branch, and no pipeline was wanted (`skip_ci`).
Status = Literal["running", "passed", "failed", "cancelled", "committed"]
LONG_AGO = datetime.fromtimestamp(0, UTC)


class Record(Protocol):
    """What the fold needs of an event in the log."""

    @property
    def event(self) -> events.Event:
        """The fact itself."""
        ...

    @property
    def sequence(self) -> int:
        """Its place in the stream."""
        ...

    @property
    def time(self) -> datetime:
        """When the stream stored it."""
        ...


class Step(Fact):
    """One event on the run's time line; `seconds` since the event before it."""

    type: str
    attempt: int
    time: datetime
    seconds: float | None = None


class Run(Fact):
    """One run, as far as its events tell."""

    run_id: str = ""
    status: Status = "running"
    phase: str = ""
    attempt: int = 1
    started: datetime = LONG_AGO
    updated: datetime = LONG_AGO
    submission: events.Submission | None = None
    analysis: events.Analysis | None = None
    decision: events.Decision | None = None
    origin: events.Origin | None = None
    files: events.Files | None = None
    images: tuple[events.Image, ...] = ()
    commit: events.Commit | None = None
    merge_request: events.MergeRequest | None = None
    pipeline: events.Pipeline | None = None
    repairs: tuple[events.Repair, ...] = ()
    rounds: tuple[events.Round, ...] = ()
    template: events.TemplateStored | None = None
    failure: events.RunFailed | None = None
    timeline: tuple[Step, ...] = ()


def fold(records: Iterable[Record]) -> Run:
    """The run after these events, in whatever order and however often each of them is given."""
    by_sequence = {record.sequence: record for record in records}
    run = Run()
    for _, record in sorted(by_sequence.items()):
        run = advance(run, record)
    return run


def advance(run: Run, record: Record) -> Run:
    """The run one event later; a projection that reads the log in order folds by this, one event at a time."""
    event = record.event
    seconds = (record.time - run.updated).total_seconds() if run.timeline else None
    step = Step(type=event.type, attempt=event.attempt, time=record.time, seconds=seconds)
    changes: dict[str, Any] = {
        "run_id": event.run_id,
        "phase": event.type,
        "started": run.started if run.timeline else record.time,
        "updated": record.time,
        "timeline": (*run.timeline, step),
    }
    if event.attempt > run.attempt:
        # A new attempt (a repair or a person's retry) opens the run again.
        changes |= {"attempt": event.attempt, "failure": None}
        if run.status != "cancelled":
            changes["status"] = "running"
    run = run.model_copy(update=changes)
    return run.model_copy(update=_EFFECTS[event.type](run, event))


def _submitted(_run: Run, event: Any) -> dict[str, Any]:
    return {"submission": event.submission}


def _analyzed(_run: Run, event: Any) -> dict[str, Any]:
    return {"submission": event.submission, "analysis": event.analysis}


def _resolved(_run: Run, event: Any) -> dict[str, Any]:
    return {"submission": event.submission, "analysis": event.analysis, "decision": event.decision}


def _proposed(_run: Run, event: Any) -> dict[str, Any]:
    """What every event that carries a proposal says, and its images, commit and pipeline where it has them."""
    proposal = event.proposal
    changes = {name: getattr(proposal, name) for name in ("submission", "analysis", "decision", "origin", "files")}
    changes |= {"repairs": proposal.repairs, "rounds": proposal.rounds}
    carried = {name: getattr(event, name, None) for name in ("images", "commit", "merge_request", "pipeline")}
    return changes | {name: value for name, value in carried.items() if value is not None}


def _committed(run: Run, event: Any) -> dict[str, Any]:
    """Where no pipeline was wanted the run is over with the commit."""
    over = event.proposal.submission.skip_ci and run.status == "running"
    return _proposed(run, event) | ({"status": "committed"} if over else {})


def _passed(run: Run, event: Any) -> dict[str, Any]:
    return _proposed(run, event) | {"status": run.status if run.status == "cancelled" else "passed"}


def _stored(_run: Run, event: Any) -> dict[str, Any]:
    return {"template": event}


def _failed(run: Run, event: Any) -> dict[str, Any]:
    """A failure after the pass (the learner's) is shown and does not undo the pass."""
    changes: dict[str, Any] = {"failure": event}
    if event.rounds:
        changes["rounds"] = event.rounds
    if run.status == "running":
        changes["status"] = "failed"
    return changes | ({"repairs": event.repairs} if event.repairs else {})


def _cancelled(run: Run, _event: Any) -> dict[str, Any]:
    return {"status": "cancelled"} if run.status == "running" else {}


_EFFECTS: dict[str, Callable[[Run, Any], dict[str, Any]]] = {
    "repo.submitted": _submitted,
    "repo.analyzed": _analyzed,
    "template.resolved": _resolved,
    "files.generated": _proposed,
    "images.seeded": _proposed,
    "commit.created": _committed,
    "pipeline.passed": _passed,
    "pipeline.failed": _proposed,
    "template.stored": _stored,
    "run.failed": _failed,
    "run.cancelled": _cancelled,
}
