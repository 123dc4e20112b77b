"""The quality gate: whether a pipeline is green (design, section 5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.ci.document import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.events import Files, Job

# What GitLab appends to the name of a job of `parallel`: " 2/5", or ": [linux, 3.12]".
PARALLEL = re.compile(r"(?: \d+/\d+|: \[.*\])$")


def whens(files: Files) -> dict[str, str]:
    """Job → its own `when`, from the files: GitLab's jobs API does not tell."""
    return {name: _when(job) for name, job in parse(files.pipeline).resolved.items()}


def gate(jobs: Sequence[Job], job_whens: Mapping[str, str]) -> tuple[str, ...]:
    """Why the gate stays shut, job by job; empty where it opens.

    It demands `success` of every job, those that may fail included. The one exception is a job that by its own
    `when: on_failure` did not run (design, section 5).
    """
    if not jobs:
        return ("the pipeline has no jobs",)
    return tuple(_why(job) for job in jobs if job.status != "success" and not _had_no_cause(job, job_whens))


def _had_no_cause(job: Job, job_whens: Mapping[str, str]) -> bool:
    """Whether the job runs only on failure, and nothing failed."""
    name = job.name if job.name in job_whens else PARALLEL.sub("", job.name)
    return job.status == "skipped" and job_whens.get(name) == "on_failure"


def _when(job: Mapping[str, object]) -> str:
    """The job's `when`; with rules, `on_failure` only where every rule that adds the job says so.

    A rule without `when` takes the job's (GitLab's CI/CD YAML reference, `rules`).
    """
    own, rules = str(job.get("when", "on_success")), job.get("rules")
    if not isinstance(rules, list):
        return own
    said = {str(rule.get("when", own)) for rule in rules if isinstance(rule, dict)} - {"never"}
    return said.pop() if len(said) == 1 else "on_success"


def _why(job: Job) -> str:
    allowed = " although it may fail" if job.allow_failure and job.status == "failed" else ""
    reason = f" ({job.failure_reason})" if job.failure_reason else ""
    return f"{job.name} in stage {job.stage} is {job.status}{reason}{allowed}"
