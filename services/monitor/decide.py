"""When a pipeline is over, whether the gate opens, and what is kept of a trace; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from shared.ci.document import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.events import Files, Job, Pipeline

Verdict = Literal["running", "passed", "failed", "canceled", "skipped", "yaml_error", "blocked"]

COMPLETED = frozenset({"success", "failed", "canceled", "skipped"})
WAITS_FOR_A_PERSON = frozenset({"manual", "scheduled"})
EXCERPT_LINES = 40
EXCERPT_CHARACTERS = 4000
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|section_(?:start|end):\d+:[^\r\n]*\r?")


def whens(files: Files) -> dict[str, str]:
    """Job → its own `when`, from the files: GitLab's jobs API does not tell."""
    return {name: _when(job) for name, job in parse(files.pipeline).resolved.items()}


def verdict(pipeline: Pipeline, job_whens: Mapping[str, str]) -> Verdict:
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
    return "failed" if gate(pipeline.jobs, job_whens) else "passed"


def gate(jobs: Sequence[Job], job_whens: Mapping[str, str]) -> tuple[str, ...]:
    """Why the gate stays shut, job by job; empty where it opens.

    It demands `success` of every job, those that may fail included. The one exception is a job that by its own
    `when: on_failure` did not run (design, section 5).
    """
    if not jobs:
        return ("the pipeline has no jobs",)
    return tuple(
        _why(job)
        for job in jobs
        if job.status != "success" and not (job.status == "skipped" and job_whens.get(job.name) == "on_failure")
    )


def waiting(jobs: Sequence[Job]) -> tuple[str, ...]:
    """The jobs that wait for a person, each as a sentence."""
    return tuple(
        f"{job.name} ({job.stage}) waits for a person: it is {job.status}"
        for job in jobs
        if job.status in WAITS_FOR_A_PERSON
    )


def excerpt(trace: bytes) -> str:
    """The end of a trace as a person reads it: no colours, no section marks, no overwritten progress lines."""
    text = ESCAPES.sub("", trace[-200_000:].decode(errors="replace"))
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    kept = "\n".join(line for line in lines if line.strip())
    return "\n".join(kept.splitlines()[-EXCERPT_LINES:])[-EXCERPT_CHARACTERS:]


def _when(job: Mapping[str, object]) -> str:
    """The job's `when`; with rules, `on_failure` only where every rule that adds the job says so."""
    rules = job.get("rules")
    if not isinstance(rules, list):
        return str(job.get("when", "on_success"))
    said = {str(rule.get("when", "on_success")) for rule in rules if isinstance(rule, dict)} - {"never"}
    return said.pop() if len(said) == 1 else "on_success"


def _why(job: Job) -> str:
    allowed = " although it may fail" if job.allow_failure and job.status == "failed" else ""
    reason = f" ({job.failure_reason})" if job.failure_reason else ""
    return f"{job.name} in stage {job.stage} is {job.status}{reason}{allowed}"
