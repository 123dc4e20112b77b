"""Which job may start when: the status of what comes before a job, and what that means for its `when`.

The rules are those of GitLab's composite status and of its processing of created jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from sandbox.gitlab.ci_records import CompiledJob

COMPLETED = frozenset({"success", "failed", "canceled", "skipped"})
STOPPED = COMPLETED | {"manual"}
STARTS = {
    "on_success": frozenset({"success", "skipped"}),
    "on_failure": frozenset({"failed"}),
    "always": COMPLETED,
    "manual": frozenset({"success", "skipped"}),
    "delayed": frozenset({"success", "skipped"}),
}


def heeded(status: str, *, allow_failure: bool) -> str:
    """The status of a job as it counts for others: what may fail or be left out is a warning or ignored."""
    if allow_failure and status in {"failed", "canceled"}:
        return "warning"
    return "ignored" if allow_failure and status == "manual" else status


def composite(statuses: Iterable[str], *, needs: bool) -> str:
    """One status for several heeded ones; `needs` where they are the needs of a job and not earlier stages."""
    kinds = set(statuses)
    if not kinds:
        return "success"
    if needs and kinds & {"skipped", "ignored"}:
        return "skipped"
    if not kinds <= COMPLETED | {"warning", "ignored"}:
        return "running"
    if kinds <= {"skipped", "ignored"}:
        return "skipped"
    if "failed" in kinds:
        return "failed"
    return "canceled" if "canceled" in kinds else "success"


# GitLab's composite status (lib/gitlab/ci/status/composite.rb) as a table: the first row that holds gives the status.
# `only` where the jobs have none but these statuses, `any` where one of them is among them.
PIPELINE = (
    ("skipped", "only", {"skipped", "ignored"}),
    ("success", "only", {"success", "skipped", "warning", "ignored"}),
    ("created", "only", {"created", "warning", "ignored"}),
    ("canceled", "only", {"canceled", "success", "skipped", "warning", "ignored"}),
    ("pending", "only", {"pending", "created", "skipped", "warning", "ignored"}),
    ("running", "any", {"running", "pending"}),
    ("canceling", "any", {"canceling"}),
    ("manual", "any", {"manual"}),
    ("scheduled", "any", {"scheduled"}),
    ("running", "any", {"created"}),
)


def pipeline_status(jobs: Sequence[Mapping[str, Any]]) -> str:
    """The status of a pipeline from those of its jobs, as GitLab composes it at any moment."""
    kinds = {heeded(job["status"], allow_failure=job["allow_failure"]) for job in jobs}
    for status, how, of in PIPELINE:
        if kinds <= of if how == "only" else kinds & of:
            return status
    return "failed"


class Order:
    """The jobs of one pipeline and the order that stages and needs give them."""

    def __init__(self, jobs: Sequence[CompiledJob]) -> None:
        """In the order of the file."""
        self.jobs = {job.name: job for job in jobs}

    def before(self, job: CompiledJob) -> list[CompiledJob]:
        """The jobs that this one waits for: its needs, or all of the earlier stages."""
        if job.needs is not None:
            return [self.jobs[name] for name in job.needs if name in self.jobs]
        return [other for other in self.jobs.values() if other.stage_index < job.stage_index]

    def verdict(self, job: CompiledJob, statuses: Mapping[str, str], allowed: Mapping[str, bool]) -> str | None:
        """What becomes of a created job: `pending`, `manual`, `scheduled` or `skipped`; None while it must wait."""
        found = [heeded(statuses[one.name], allow_failure=allowed[one.name]) for one in self.before(job)]
        before = composite(found, needs=job.needs is not None)
        if before not in COMPLETED:
            return None
        starts = STARTS[job.when] - ({"skipped"} if job.needs is not None and job.when == "on_success" else set())
        if before not in starts:
            return "skipped"
        return {"manual": "manual", "delayed": "scheduled"}.get(job.when, "pending")

    def artifacts_from(self, job: CompiledJob) -> list[CompiledJob]:
        """The jobs whose artifacts this one fetches: its dependencies, else its needs, else all earlier stages."""
        if job.dependencies is not None:
            return [self.jobs[name] for name in job.dependencies if name in self.jobs]
        if job.needs is not None:
            return [self.jobs[name] for name in job.needs_artifacts if name in self.jobs]
        return self.before(job)
