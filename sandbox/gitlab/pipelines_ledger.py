"""What is written down of pipelines and jobs: their records, what follows from one for the other, who hears of it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from sandbox.gitlab.clock import now, written
from sandbox.gitlab.executor_order import COMPLETED, pipeline_status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.gitlab.ci import CompiledJob
    from sandbox.gitlab.executor_records import JobUpdate
    from sandbox.gitlab.store import Row, Store

    Changed = Callable[[str, Row, Row], None]

UNDER_WAY = frozenset({"created", "waiting_for_resource", "preparing", "pending", "running", "canceling"})


class Ledger:
    """The records of all pipelines."""

    def __init__(self, store: Store, changed: Changed) -> None:
        """`changed` hears of every status of a pipeline or job."""
        self._store = store
        self._changed = changed

    def jobs(self, pipeline_id: int, *, include_retried: bool = False) -> list[Row]:
        """The jobs of a pipeline, newest first."""
        found = self._store.where("job", "pipeline_id", pipeline_id)
        return [job for job in found if include_retried or not job.get("retried")]

    def ended(self, project: Row, row: Row, status: str, **fields: Any) -> Row:
        """A pipeline that is over before it began."""
        over = {**row, "status": status, "finished_at": now(), **fields}
        stored = self._store.add("pipeline", over, project=project["id"])
        self._changed("pipeline", stored, stored)
        return stored

    def begin(self, project: Row, row: Row, jobs: Sequence[CompiledJob]) -> Row:
        """A pipeline with its jobs, which gets the faults that wait for one; as stored."""
        pipeline = self._store.add("pipeline", {**row, "status": "created"}, project=project["id"])
        self._changed("pipeline", pipeline, pipeline)
        for job in sorted(jobs, key=lambda job: job.stage_index):
            self._add_job(project, pipeline, job)
        self._claim_faults(project, pipeline)
        return pipeline

    def _add_job(self, project: Row, pipeline: Row, job: CompiledJob) -> None:
        made: Row = {"project_id": project["id"], "pipeline_id": pipeline["id"], "name": job.name, "stage": job.stage}
        made |= {"status": "created", "allow_failure": job.allow_failure, "failure_reason": None, "when": job.when}
        made |= {"ref": pipeline["ref"], "sha": pipeline["sha"], "tags": list(job.tags), "stage_index": job.stage_index}
        made |= {"created_at": now(), "started_at": None, "finished_at": None, "attempt": 0, "needs": job.needs}
        made["may_fail"] = job.allow_failure  # what an exit code allowed counts for one attempt
        made["token"] = f"glcbt-64_{secrets.token_urlsafe(15)}"
        stored = self._store.add("job", made, project=project["id"])
        self._changed("job", stored, pipeline)

    def clone(self, job: Row, status: str) -> Row:
        """A new job in place of an old one, which stays as its history."""
        self._store.update("job", job["id"], retried=True)
        kept = ("project_id", "pipeline_id", "name", "stage", "stage_index", "ref", "sha", "when")
        made: Row = {key: job.get(key) for key in (*kept, "tags", "needs", "may_fail")}
        made["allow_failure"] = job.get("may_fail", job["allow_failure"])
        made |= {"status": status, "failure_reason": None, "attempt": job.get("attempt", 0) + 1, "created_at": now()}
        made |= {"started_at": None, "finished_at": None, "token": f"glcbt-64_{secrets.token_urlsafe(15)}"}
        return self._store.add("job", made, project=job["project_id"])

    def reset_behind(self, job: Row) -> None:
        """What was skipped behind a job is decided again."""
        for one in self.jobs(job["pipeline_id"]):
            if one["status"] == "skipped" and (one["stage_index"] > job["stage_index"] or one["needs"] is not None):
                self._store.update("job", one["id"], status="created", finished_at=None)

    def apply(self, key: int, rows: dict[str, Row], update: JobUpdate) -> None:
        """What the executor reported of a job, in the store and to those who hear of it."""
        row = rows[update.name]
        if update.trace_append:
            self._store.append_trace(row["id"], update.trace_append)
            return
        known = self._store.get("job", row["id"])
        if known is None:  # the pipeline was removed meanwhile
            return
        if update.status == "pending" and known["status"] == "failed":
            rows[update.name] = self.clone(known, "pending")
        else:
            changes = _changes(update)
            if update.status == "running":
                changes["fault"] = self._fault(self._store.get("pipeline", key) or {}, update.name)
            elif update.status in COMPLETED:
                changes["trace_size"] = self._store.trace_size(row["id"])
            rows[update.name] = self._store.update("job", row["id"], **changes)
        pipeline = self.settle(key)
        self._changed("job", rows[update.name], pipeline)

    def settle(self, key: int) -> Row:
        """Give the pipeline the status that follows from its jobs; the pipeline."""
        pipeline = self._store.get("pipeline", key)
        if pipeline is None:
            return {"id": key, "status": "canceled", "started_at": None, "finished_at": None}
        jobs = self.jobs(key)
        status = pipeline_status(jobs) if jobs else pipeline["status"]
        if status == pipeline["status"]:
            return pipeline
        changes: Row = {"status": status, "updated_at": now(), "finished_at": None}
        if pipeline["started_at"] is None and any(job["started_at"] for job in jobs):
            changes["started_at"] = now()
        if status in COMPLETED:
            covered = [float(job["coverage"]) for job in jobs if job.get("coverage") is not None]
            changes |= {"finished_at": now(), "coverage": f"{sum(covered) / len(covered):.2f}" if covered else None}
        pipeline = self._store.update("pipeline", key, **changes)
        self._changed("pipeline", pipeline, pipeline)
        return pipeline

    def lose(self, key: int) -> None:
        """What was under way in a pipeline has lost its runner."""
        for job in self.jobs(key):
            if job["status"] in UNDER_WAY:
                lost = {"status": "failed", "failure_reason": "runner_system_failure", "finished_at": now()}
                self._store.update("job", job["id"], **lost)

    def _claim_faults(self, project: Row, pipeline: Row) -> None:
        """The faults that wait for the next pipeline of this project, or of any, are this one's now."""
        waiting = [one for one in reversed(self._store.list("fault")) if one["project"] in (None, project["id"])]
        for one in waiting:
            self._store.remove("fault", one["id"])
        if waiting:
            faults = [{"name": one["name"], "job": one["job"], "times": one["times"]} for one in waiting]
            self._store.update("pipeline", pipeline["id"], faults=faults)

    def _fault(self, pipeline: Row, job: str) -> str | None:
        """The fault that befalls the attempt that begins now; one that lasts a number of times is counted."""
        faults = pipeline.get("faults", [])
        found = next((one for one in faults if one["times"] and one["job"] in (None, job)), None)
        if found is None:
            return None
        # A fault for any job stays with the first one that it meets.
        found |= {"job": job, "times": found["times"] - (found["times"] > 0)}
        self._store.update("pipeline", pipeline["id"], faults=faults)
        return str(found["name"])


def _changes(update: JobUpdate) -> dict[str, Any]:
    """The fields of a job that an update changes."""
    changes: dict[str, Any] = {"status": update.status, "failure_reason": update.failure_reason, **update.details}
    if update.allow_failure is not None:
        changes["allow_failure"] = update.allow_failure
    if update.status == "running":
        changes["started_at"] = written(update.at)
    elif update.status in COMPLETED:
        changes["finished_at"] = written(update.at)
    return changes
