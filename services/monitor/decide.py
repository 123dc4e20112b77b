"""When a watch is over and how it ended, whether the gate opens, and what is kept of a trace; pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared.ci.gate import gate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.events import Job, Outcome, Pipeline, Rerun

Verdict = Literal["running", "passed"]

COMPLETED = frozenset({"success", "failed", "canceled", "skipped"})
WAITS_FOR_A_PERSON = frozenset({"manual", "scheduled"})
# An event stays under 256 KB: so many bytes of its JSON may be excerpts, so many jobs and reasons it may list.
EXCERPT_LINES = 40
EXCERPT_BYTES = 4096
ALL_EXCERPTS_BYTES = 64 * 1024
MAX_JOBS = 200
MAX_REASONS = 50
MAX_YAML_ERRORS = 4000
SECTIONS = re.compile(r"section_(?:start|end):\d+:[^\r\n]*\r?")
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class Pace:
    """How often to look, when to give up, and when there is no pipeline; in seconds since the commit."""

    interval: float
    timeout: float
    no_pipeline_after: float

    def pause(self, age: float, wish: float | None) -> float:
        """Seconds until the next look: the interval, or GitLab's wish where longer, but not past the deadline."""
        return max(0.0, min(max(self.interval, wish or 0.0), self.timeout - age))


@dataclass(frozen=True)
class Sight:
    """What was seen last of a pipeline; `silence` is why the last look got no answer, empty where it got one."""

    pipeline: Pipeline | None = None
    silence: str = ""


def stands(sight: Sight, rerun: Rerun | None, age: float, pace: Pace, whens: Mapping[str, str]) -> Verdict | Outcome:
    """How the watch stands `age` seconds after the commit.

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
    return "deadline" if age >= pace.timeout else "running"


def verdict(pipeline: Pipeline, job_whens: Mapping[str, str]) -> Verdict | Outcome:
    """How the pipeline stands: still running, passed, or in which way it ended otherwise."""
    if pipeline.yaml_errors:
        return "yaml_error"
    if pipeline.status in WAITS_FOR_A_PERSON:
        return "blocked"
    unfinished = [job for job in pipeline.jobs if job.status not in COMPLETED | WAITS_FOR_A_PERSON]
    if pipeline.status not in COMPLETED or unfinished:
        return "running"
    if pipeline.status in {"canceled", "skipped"}:
        return "canceled" if pipeline.status == "canceled" else "skipped"
    return "failed" if pipeline.status == "failed" or gate(pipeline.jobs, job_whens) else "passed"


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
    if outcome == "blocked":
        return _capped(waiting(pipeline.jobs)) or (status,)
    if outcome == "deadline":
        unfinished = [f"{job.name} is {job.status}" for job in pipeline.jobs if job.status not in COMPLETED]
        first = f"not over after {pace.timeout:.0f} s; {status}"
        return _capped((f"{first}; {sight.silence}" if sight.silence else first, *unfinished))
    return _capped(gate(pipeline.jobs, job_whens)) or (status,)


def waiting(jobs: Sequence[Job]) -> tuple[str, ...]:
    """The jobs that wait for a person, each as a sentence."""
    return tuple(
        f"{job.name} in stage {job.stage} waits for a person: it is {job.status}"
        for job in jobs
        if job.status in WAITS_FOR_A_PERSON
    )


def fitting(pipeline: Pipeline) -> Pipeline:
    """The pipeline with as many jobs as an event takes: those that did not succeed come before those that did."""
    jobs = sorted(pipeline.jobs, key=lambda job: (job.status == "success", job.id))[:MAX_JOBS]
    short = (pipeline.yaml_errors or "")[:MAX_YAML_ERRORS] or None
    return pipeline.model_copy(update={"jobs": tuple(sorted(jobs, key=lambda job: job.id)), "yaml_errors": short})


def excerpt_bytes(failed_jobs: int) -> int:
    """The longest excerpt of each of so many failed jobs, in bytes of JSON."""
    return min(EXCERPT_BYTES, ALL_EXCERPTS_BYTES // max(1, failed_jobs))


def excerpt(trace: bytes, limit: int = EXCERPT_BYTES) -> str:
    """The end of a trace as a person reads it: no colours, no section marks, no overwritten progress lines.

    At most `limit` bytes as JSON writes them, without the quotes.
    """
    text = ESCAPES.sub("", SECTIONS.sub("", trace[-200_000:].decode(errors="replace")))
    lines = [CONTROLS.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n")]
    kept = "\n".join([line for line in lines if line.strip()][-EXCERPT_LINES:])
    return _last(kept, limit)


def _last(text: str, limit: int) -> str:
    """The end of a text that takes at most `limit` bytes in JSON, where a quote takes two."""
    size = 0
    for place in range(len(text) - 1, -1, -1):
        size += len(json.dumps(text[place], ensure_ascii=False).encode()) - 2
        if size > limit:
            return text[place + 1 :]
    return text


def _stale(rerun: Rerun | None, pipeline: Pipeline) -> bool:
    """Whether what is seen are still the attempts from before the rerun."""
    return rerun is not None and rerun.last_job_id > 0 and not rerun.begun(pipeline)


def _capped(sentences: Sequence[str]) -> tuple[str, ...]:
    """The first sentences, and how many there are besides."""
    more = len(sentences) - MAX_REASONS
    return (*sentences[:MAX_REASONS], *([f"and {more} more"] if more > 0 else []))
