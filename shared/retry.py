"""Which event a person may have published again, under which attempt and with which options; pure.

A retry is the chosen event once more under the run's next attempt, and all phases after it follow. It never touches
what was: each attempt has its own subjects, and so its own commit. It is only published where the run is still as it
was seen (`Plan.after`), so that of two people who retry at once, or of one who cancels meanwhile, only one is heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from shared import events
from shared.errors import GreenrunError
from shared.events import EVENT_TYPES, Event, Submission
from shared.history import Record, fold
from shared.settings import plain
from shared.topology import TOPOLOGY, node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from shared.events import Repair
    from shared.history import Run

# In the order of the pipeline: what some service reads, and so can be told again.
RETRYABLE = tuple(name for name in EVENT_TYPES if name in {row.reads.type for row in TOPOLOGY if row.reads is not None})
# The healer would judge the same old failure: after its last word the files run again, with what is now outside.
AGAIN_AFTER_HEALER = events.FilesGenerated.type
# An option of the submission → the last event from which on it still makes a difference.
OPTIONS: dict[str, str] = {
    "ref": events.RepoSubmitted.type,
    "subfolder": events.RepoSubmitted.type,
    "builder": events.TemplateResolved.type,
    "project": events.ImagesSeeded.type,
    "create_project": events.ImagesSeeded.type,
    "branch": events.ImagesSeeded.type,
    "merge_request": events.ImagesSeeded.type,
    "skip_ci": events.ImagesSeeded.type,
    "author": events.ImagesSeeded.type,
    "heal_attempts": events.ImagesSeeded.type,
}


class NotRetryable(GreenrunError):  # noqa: N818 - what the run is
    """The run, or that event of it, cannot be published again; the text says why and what to do instead."""


@dataclass(frozen=True)
class Plan:
    """What to publish: the event under the next attempt, because of the one at `cause`.

    `after` is the sequence of the run's last event: where the run has gone on since, nothing may be published.
    """

    event: Event
    cause: str
    after: int


def plan(
    records: Sequence[Record], start: str | None = None, changes: Mapping[str, Any] | None = None, *, now: datetime
) -> Plan:
    """How to retry the run of these events; raises NotRetryable where it cannot be.

    `start` is a type, or a type with an attempt (`files.generated.1`); None is the event that the failed phase had in
    hand, or an earlier one where an option of the submission that `changes` wants else would not be heard any more.
    """
    _refuse_unfinished(fold(records), idle=bool(records) and getattr(records[-1], "imported", False))
    chosen = _chosen(records, start or _from_failure(records, changes or {}))
    event = chosen.event.model_copy(update={"attempt": max(record.event.attempt for record in records) + 1})
    fresh = _afresh(event, records, now)
    return Plan(_with(fresh, changes or {}), chosen.event.subject, max(record.sequence for record in records))


def options(words: Iterable[str]) -> dict[str, Any]:
    """`KEY=VALUE` each → option and value; an empty value takes the option away. NotRetryable for what is none."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise NotRetryable(f"{word!r} is no KEY=VALUE; options are {', '.join(OPTIONS)}")
        found[_known(name)] = value or Submission.model_fields[name].default
    return found


def repairs_since_retry(repairs: Sequence[Repair], attempt: int) -> tuple[Repair, ...]:
    """The repairs that led to this attempt without a person between them.

    A repair makes the next attempt, a retry does too without being one: so the attempts of these repairs have no gap.
    """
    by_attempt = {repair.attempt: repair for repair in repairs}
    led = []
    while attempt in by_attempt:
        led.append(by_attempt[attempt])
        attempt -= 1
    return tuple(reversed(led))


def retried(event: Event, repairs: Sequence[Repair]) -> bool:
    """Whether a person began this attempt."""
    return event.attempt > 1 and not repairs_since_retry(repairs, event.attempt)


def _refuse_unfinished(run: Run, *, idle: bool) -> None:
    """Where something still works on the run, or a person ended it, nothing is published.

    What was imported is `idle`: it may have been in flight, but not here.
    """
    if not run.timeline:
        raise NotRetryable("there is no such run")
    if run.status == "running" and not idle:
        why = f"run {run.run_id} is in flight: {run.phase} of attempt {run.attempt} came at {run.updated:%H:%M:%S} UTC"
        raise NotRetryable(f"{why}; wait for its end, or end it with: greenrun cancel {run.run_id}")
    if run.status == "cancelled":
        url = run.submission.repo_url if run.submission else "URL"
        raise NotRetryable(f"run {run.run_id} was cancelled, which is for good; start anew with: greenrun submit {url}")


def _from_failure(records: Sequence[Record], changes: Mapping[str, Any]) -> str:
    """The type from which to go on where nobody says: what the failed phase reads, or what hears the options."""
    run = fold(records)
    names = [OPTIONS[_known(name)] for name in changes]
    if run.failure:
        names.append(_read_by(run.failure.phase))
    if not names:
        raise NotRetryable(f"run {run.run_id} has {run.status} and nothing failed; say from where, with --from TYPE")
    return min(names, key=RETRYABLE.index)


def _read_by(phase: str) -> str:
    reads = node(phase).reads if phase in {row.service for row in TOPOLOGY} else None
    return AGAIN_AFTER_HEALER if phase == "healer" or reads is None else reads.type


def _chosen(records: Sequence[Record], start: str) -> Record:
    """The event of that type in the latest attempt that has one, or in the attempt that is named."""
    name, _, attempt = start.rpartition(".") if start.rpartition(".")[2].isdigit() else (start, "", "")
    if name not in RETRYABLE:
        raise NotRetryable(f"a run cannot go on from {start!r}; it can from {', '.join(RETRYABLE)}")
    found = [r for r in records if r.event.type == name and attempt in {"", str(r.event.attempt)}]
    if not found:
        reached = sorted({r.event.type for r in records} & set(RETRYABLE), key=RETRYABLE.index)
        raise NotRetryable(f"the run has no {start}; it came to {', '.join(reached) or 'none of these'}")
    return max(found, key=lambda record: record.event.attempt)


def _afresh(event: Event, records: Sequence[Record], now: datetime) -> Event:
    """The event without what was true only then.

    A rerun of a pipeline has happened: the files are committed again. A watch begins now, and at the pipeline that is
    known, since GitLab lists only what changed lately.
    """
    if isinstance(event, events.FilesGenerated | events.ImagesSeeded):
        return event.model_copy(update={"proposal": event.proposal.model_copy(update={"rerun": None})})
    if isinstance(event, events.CommitCreated):
        rerun = _known_pipeline(event.commit, records)
        return event.model_copy(update={"at": now, "proposal": event.proposal.model_copy(update={"rerun": rerun})})
    return event


def _known_pipeline(commit: events.Commit, records: Iterable[Record]) -> events.Rerun | None:
    """The newest pipeline of the commit that the log knows."""
    ended = [r.event for r in records if isinstance(r.event, events.PipelineFailed | events.PipelinePassed)]
    numbers = [e.pipeline.id for e in ended if e.commit and e.commit.sha == commit.sha and e.pipeline.id]
    return events.Rerun(commit=commit, pipeline_id=max(numbers)) if numbers else None


def _with(event: Event, changes: Mapping[str, Any]) -> Event:
    """The event with other options of the submission; NotRetryable where they would not be heard, or cannot be."""
    if not changes:
        return event
    for name in map(_known, changes):
        if RETRYABLE.index(event.type) > RETRYABLE.index(OPTIONS[name]):
            raise NotRetryable(f"{name} makes no difference after {OPTIONS[name]}; retry --from {OPTIONS[name]}")
    try:
        submission = Submission.model_validate({**_submission(event).model_dump(), **changes})
    except ValidationError as error:
        said = (f"{'.'.join(map(str, e['loc']))}: {plain(e['msg'])}" for e in error.errors())
        raise NotRetryable("; ".join(said)) from error
    return _of_submission(event, submission)


def _submission(event: Event) -> Submission:
    if isinstance(event, events.RepoSubmitted):
        return event.submission
    held: Any = event
    submission: Submission = held.proposal.submission if hasattr(event, "proposal") else held.submission
    return submission


def _of_submission(event: Event, submission: Submission) -> Event:
    if isinstance(event, events.RepoSubmitted):
        return event.model_copy(update=submission.model_dump())
    if isinstance(event, events.FilesGenerated | events.ImagesSeeded):
        proposal = event.proposal.model_copy(update={"submission": submission})
        return event.model_copy(update={"proposal": proposal})
    return event.model_copy(update={"submission": submission})


def _known(name: str) -> str:
    if name not in OPTIONS:
        raise NotRetryable(f"there is no option {name!r}; options are {', '.join(OPTIONS)}")
    return name
