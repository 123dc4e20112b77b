"""When a watch is over and how it ended, whether the gate opens, and what is kept of a trace; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from shared.ci.gate import gate
from shared.ci.region import failing_region, lines_of
from shared.merge_request import Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.events import CommitCreated, Job, Outcome, Pipeline, Rerun

Verdict = Literal["running", "passed"]

COMPLETED = frozenset({"success", "failed", "canceled", "skipped"})
WAITS_FOR_A_PERSON = frozenset({"manual", "scheduled"})
WORTH_A_LOOK = COMPLETED | WAITS_FOR_A_PERSON
RUNS = frozenset({"running", "canceling"})
# Seconds between the first looks: a pipeline that ends early is seen early. Then comes the interval, and twice the
# interval once nothing has changed for long. Where webhooks come, the looks are the safety net alone.
FIRST_PAUSES = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0)
UNCHANGED_SECONDS, UNCHANGED_TIMES = 600.0, 2
HOOKED_TIMES = 10
SETTLING_SECONDS = 1.0
# An event stays under 256 KB: so many bytes of its JSON may be excerpts, so many jobs and reasons it may list.
EXCERPT_LINES = 40
EXCERPT_BYTES = 4096
ALL_EXCERPTS_BYTES = 64 * 1024
MAX_JOBS = 200
MAX_REASONS = 50
MAX_YAML_ERRORS = 4000


@dataclass(frozen=True)
class Sight:
    """What was seen of a pipeline so far; times in seconds since the commit.

    `silence` is why the last look got no answer, empty where it got one. `looks` counts them; at `changed` the status
    was another one, at `detailed` the jobs were read, of which `pending` had no runner.
    """

    pipeline: Pipeline | None = None
    silence: str = ""
    looks: int = 0
    changed: float = 0.0
    detailed: float = 0.0
    pending: frozenset[int] = frozenset()

    def after(self, pipeline: Pipeline | None, age: float) -> Sight:
        """The sight one look later."""
        changed = self.changed if _status(self.pipeline) == _status(pipeline) else age
        seen = replace(self, pipeline=pipeline, silence="", looks=self.looks + 1, changed=changed)
        if pipeline is None or not pipeline.jobs:
            return seen
        pending = frozenset(job.id for job in pipeline.jobs if job.status == "pending")
        return replace(seen, detailed=age, pending=pending)

    def silent(self, reason: str) -> Sight:
        """The sight after a look that got no answer."""
        return replace(self, silence=reason, looks=self.looks + 1)


@dataclass(frozen=True)
class Pace:
    """How often to look, when to give up, when there is no pipeline, and when no runner; in seconds."""

    interval: float
    timeout: float
    no_pipeline_after: float
    stuck_after: float = 300.0

    def pause(self, sight: Sight, age: float, *, hooked: bool = False) -> float:
        """Seconds until the next look, but not past the deadline, nor past the moment when there is no pipeline."""
        seconds = min(self._pause(sight, age, hooked=hooked), self.timeout - age)
        if sight.pipeline is None and age < self.no_pipeline_after:
            seconds = min(seconds, self.no_pipeline_after - age + SETTLING_SECONDS)
        return max(0.0, seconds)

    def _pause(self, sight: Sight, age: float, *, hooked: bool) -> float:
        if sight.pipeline and sight.pipeline.status in COMPLETED:  # a job or two still are on their way
            return min(SETTLING_SECONDS, self.interval)
        if hooked:
            return self.interval * HOOKED_TIMES
        if sight.looks <= len(FIRST_PAUSES):
            return min(FIRST_PAUSES[max(0, sight.looks - 1)], self.interval)
        return self.interval * (UNCHANGED_TIMES if age - sight.changed > UNCHANGED_SECONDS else 1)

    def runner_is_late(self, sight: Sight, age: float) -> bool:
        """Whether nothing has happened for so long that the jobs are worth a look; less soon where some have run."""
        limit = self.stuck_after * (2 if _status(sight.pipeline) in RUNS else 1)
        return age - max(sight.changed, sight.detailed) >= limit


def needs_jobs(pipeline: Pipeline, before: Sight, age: float, pace: Pace) -> bool:
    """Whether the status alone does not tell how the watch stands."""
    return pipeline.status in WORTH_A_LOOK or age >= pace.timeout or pace.runner_is_late(before, age)


def stands(
    sight: Sight, rerun: Rerun | None, age: float, pace: Pace, whens: Mapping[str, str], before: Sight | None = None
) -> Verdict | Outcome:
    """How the watch stands `age` seconds after the commit; `before` is the sight before the last look.

    After a rerun the old attempts' end does not count: GitLab gets as long to begin as it gets to make a pipeline.
    """
    pipeline = sight.pipeline
    if pipeline is None:
        if not sight.silence and age > pace.no_pipeline_after:
            return "no_pipeline"
    elif not (_stale(rerun, pipeline) and age <= pace.no_pipeline_after):
        found = verdict(pipeline, whens)
        if found != "running":
            return found
    if before and _without_runner(sight, before, pace):
        return "stuck"
    return "deadline" if age >= pace.timeout else "running"


def _without_runner(sight: Sight, before: Sight, pace: Pace) -> bool:
    """Whether the jobs were read after a long time without a change, and wait for a runner that does not come."""
    pipeline = sight.pipeline
    if pipeline is None or not sight.pending or not pace.runner_is_late(before, sight.detailed):
        return False
    if any(job.status in RUNS for job in pipeline.jobs):
        return False
    begun = any(job.status in COMPLETED for job in pipeline.jobs)
    # Where jobs have run, these may have become pending only now: they were so at the look before as well.
    return not begun or bool(sight.pending & before.pending)


def verdict(pipeline: Pipeline, job_whens: Mapping[str, str]) -> Verdict | Outcome:
    """How the pipeline stands: still running, passed, or in which way it ended otherwise."""
    if pipeline.yaml_errors:
        return "yaml_error"
    if pipeline.status in WAITS_FOR_A_PERSON:
        return "blocked"
    unfinished = [job for job in pipeline.jobs if job.status not in COMPLETED | WAITS_FOR_A_PERSON]
    if pipeline.status not in COMPLETED or unfinished:
        return "running"
    return _ended(pipeline, job_whens)


def _ended(pipeline: Pipeline, job_whens: Mapping[str, str]) -> Verdict | Outcome:
    """How a pipeline that is over ended; where nothing but jobs that wait for a person is missing, it is blocked."""
    if pipeline.status in {"canceled", "skipped"}:
        return "canceled" if pipeline.status == "canceled" else "skipped"
    shut = gate(pipeline.jobs, job_whens)
    if pipeline.status == "failed" or len(shut) > len(waiting(pipeline.jobs)):
        return "failed"
    return "blocked" if shut else "passed"


def reasons(outcome: Outcome, sight: Sight, sha: str, pace: Pace, job_whens: Mapping[str, str]) -> tuple[str, ...]:
    """Why the pipeline did not pass, in the words that fit the outcome."""
    pipeline = sight.pipeline
    if outcome == "no_pipeline" or pipeline is None:
        if outcome == "no_pipeline":
            return (f"GitLab made no pipeline for {sha[:12]}: CI is off, or the rules leave every job out",)
        return (f"not over after {pace.timeout:.0f} s; {sight.silence or 'GitLab made no pipeline'}",)
    status = f"the pipeline is {pipeline.status}"
    if outcome == "yaml_error":
        return (f"GitLab refuses the file: {pipeline.yaml_errors}"[:MAX_YAML_ERRORS],)
    if outcome == "deadline":
        unfinished = [f"{job.name} is {job.status}" for job in pipeline.jobs if job.status not in COMPLETED]
        first = f"not over after {pace.timeout:.0f} s; {status}"
        return _capped((f"{first}; {sight.silence}" if sight.silence else first, *unfinished))
    by_job = {"blocked": waiting(pipeline.jobs), "stuck": _runnerless(pipeline.jobs, pace)}
    return _capped(by_job.get(outcome) or gate(pipeline.jobs, job_whens)) or (status,)


def waiting(jobs: Sequence[Job]) -> tuple[str, ...]:
    """The jobs that wait for a person, each as a sentence."""
    return tuple(
        f"{job.name} in stage {job.stage} waits for a person: it is {job.status}"
        for job in jobs
        if job.status in WAITS_FOR_A_PERSON
    )


def _runnerless(jobs: Sequence[Job], pace: Pace) -> tuple[str, ...]:
    """The jobs that no runner takes, each as a sentence."""
    return tuple(
        f"{job.name} in stage {job.stage} waits for a runner for more than {pace.stuck_after:.0f} s; "
        + (f"none with the tags {', '.join(job.tags)} takes it" if job.tags else "none takes jobs without tags")
        for job in jobs
        if job.status == "pending"
    )


def fitting(pipeline: Pipeline) -> Pipeline:
    """The pipeline with as many jobs as an event takes: those that did not succeed come before those that did.

    The newest is always among them: by its id a rerun is told from what was before.
    """
    newest = max((job.id for job in pipeline.jobs), default=0)
    jobs = sorted(pipeline.jobs, key=lambda job: (job.id != newest, job.status == "success", job.id))[:MAX_JOBS]
    short = (pipeline.yaml_errors or "")[:MAX_YAML_ERRORS] or None
    return pipeline.model_copy(update={"jobs": tuple(sorted(jobs, key=lambda job: job.id)), "yaml_errors": short})


def excerpt_bytes(failed_jobs: int) -> int:
    """The longest excerpt of each of so many failed jobs, in bytes of JSON."""
    return min(EXCERPT_BYTES, ALL_EXCERPTS_BYTES // max(1, failed_jobs))


def excerpt(trace: bytes, limit: int = EXCERPT_BYTES) -> str:
    """The failing region of a trace as a person reads it: no colours, no section marks, no overwritten progress.

    At most `limit` bytes as JSON writes them, without the quotes.
    """
    region = failing_region(lines_of(trace), EXCERPT_LINES)
    return _last("\n".join(line.text for line in region), limit)


def _last(text: str, limit: int) -> str:
    """The end of a text that takes at most `limit` bytes in JSON, where a quote takes two."""
    size = 0
    for place in range(len(text) - 1, -1, -1):
        size += len(json.dumps(text[place], ensure_ascii=False).encode()) - 2
        if size > limit:
            return text[place + 1 :]
    return text


def _status(pipeline: Pipeline | None) -> str:
    return pipeline.status if pipeline else ""


def passed_report(event: CommitCreated, pipeline: Pipeline) -> Report:
    """The state that the merge request's comment shows at the end."""
    return Report(event.attempt, "passed", f"Attempt {event.attempt}: green, {len(pipeline.jobs)} jobs", ())


def failed_report(event: CommitCreated, outcome: Outcome, reasons: Sequence[str]) -> Report:
    """The state that the merge request's comment shows after a failed attempt; what comes next is in the run."""
    headline = f"Attempt {event.attempt}: {outcome.replace('_', ' ')}; whether it is repaired stands in the run"
    return Report(event.attempt, "failed", headline, reasons)


def _stale(rerun: Rerun | None, pipeline: Pipeline) -> bool:
    """Whether what is seen are still the attempts from before the rerun."""
    return rerun is not None and rerun.last_job_id > 0 and not rerun.begun(pipeline)


def _capped(sentences: Sequence[str]) -> tuple[str, ...]:
    """The first sentences, and how many there are besides."""
    more = len(sentences) - MAX_REASONS
    return (*sentences[:MAX_REASONS], *([f"and {more} more"] if more > 0 else []))
