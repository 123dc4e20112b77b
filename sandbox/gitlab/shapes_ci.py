"""GitLab's JSON for pipelines and jobs; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.gitlab import shapes
from sandbox.gitlab.clock import now, seconds_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.gitlab.store import Row

# What a page writes for a status, and the group that decides on its colour (GitLab's detailed statuses).
LABELS = {"success": "passed", "manual": "blocked", "scheduled": "delayed"}
RUNNER = {"id": 1, "description": "sandbox", "active": True, "paused": False, "is_shared": True, "status": "online"}
RUNNER |= {"runner_type": "instance_type", "name": "gitlab-runner", "online": True, "ip_address": "127.0.0.1"}
FINISHED = frozenset({"success", "failed", "canceled", "skipped"})


def web_url(row: Row, of: Row, base: str) -> str:
    """The page of a pipeline."""
    return f"{base}/{of['path_with_namespace']}/-/pipelines/{row['id']}"


def pipeline(row: Row, of: Row, base: str) -> Row:
    """A pipeline, as lists have it."""
    keys = ("id", "project_id", "sha", "ref", "status", "source", "created_at", "updated_at")
    plain = {key: row[key] for key in keys} | {"iid": row.get("iid") or row["id"]}
    return plain | {"web_url": web_url(row, of, base), "name": row.get("name")}


def pipeline_whole(row: Row, of: Row, base: str, user: Row, *, warnings: bool = False) -> Row:
    """A pipeline alone; `warnings` where a job that may fail did."""
    return {
        **pipeline(row, of, base),
        "before_sha": row.get("before_sha") or "0" * 40,
        "tag": bool(row.get("tag")),
        "yaml_errors": row["yaml_errors"],
        "user": shapes.user(user, base),
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "committed_at": None,
        "duration": _whole(seconds_between(row["started_at"], row["finished_at"])),
        "queued_duration": _whole(seconds_between(row["created_at"], row["started_at"])),
        "coverage": row.get("coverage"),
        "detailed_status": detailed(row["status"], web_url(row, of, ""), warnings=warnings),
        "archived": False,
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def detailed(status: str, path: str, *, warnings: bool = False) -> Row:
    """What a page shows of a status."""
    label = LABELS.get(status, status)
    warned = warnings and status == "success"
    icon = "warning" if warned else status
    return {
        "icon": f"status_{icon}",
        "text": "Warning" if warned else label.capitalize(),
        "label": "passed with warnings" if warned else label,
        "group": "success-with-warnings" if warned else status,
        "tooltip": label,
        "has_details": True,
        "details_path": path,
        "illustration": None,
        "favicon": f"/assets/ci_favicons/favicon_status_{status}.png",
    }


def job(row: Row, in_pipeline: Row, of: Row, base: str, user: Row) -> Row:
    """A job; GitLab names a failure reason only where the job failed."""
    keys = ("id", "name", "stage", "status", "ref", "allow_failure", "created_at", "started_at", "finished_at")
    archive = row.get("archive")
    shape = {
        **{key: row[key] for key in keys},
        "tag": bool(in_pipeline.get("tag")),
        "coverage": row.get("coverage"),
        "erased_at": row.get("erased_at"),
        "duration": _duration(row),
        "queued_duration": seconds_between(row["created_at"], row["started_at"]),
        "user": shapes.user(user, base),
        "web_url": f"{base}/{of['path_with_namespace']}/-/jobs/{row['id']}",
        "commit": in_pipeline.get("commit") or {"id": row["sha"], "short_id": row["sha"][:8]},
        "pipeline": pipeline(in_pipeline, of, base),
        "project": {"ci_job_token_scope_enabled": False},
        "artifacts": [*row.get("files", []), *_trace_file(row)],
        "runner": RUNNER if row["started_at"] else None,
        "runner_manager": None,
        "artifacts_expire_at": row.get("artifacts_expire_at"),
        "archived": False,
        "tag_list": row.get("tags", []),
    }
    shape |= {"artifacts_file": {"filename": "artifacts.zip", "size": archive["size"]}} if archive else {}
    return shape | ({"failure_reason": row["failure_reason"]} if row["status"] == "failed" else {})


def _duration(row: Row) -> float | None:
    """Seconds, up to now while it runs."""
    return seconds_between(row["started_at"], row["finished_at"] or (now() if row["status"] == "running" else None))


def _trace_file(row: Row) -> list[Row]:
    if row["status"] not in FINISHED or not row["started_at"]:
        return []
    return [{"file_type": "trace", "size": row.get("trace_size", 0), "filename": "job.log", "file_format": None}]


def variable(row: Row) -> Row:
    """A variable of a project."""
    keys = ("variable_type", "key", "value", "protected", "masked", "raw", "hidden", "environment_scope", "description")
    shape = {key: row.get(key) for key in keys}
    return shape | ({"value": None} if row.get("hidden") else {})


def warned(jobs: Sequence[Row]) -> bool:
    """Whether a job that may fail did, so that a passed pipeline has warnings."""
    return any(job["allow_failure"] and job["status"] in {"failed", "canceled"} for job in jobs)


def test_report(suites: Sequence[Row]) -> Row:
    """All test suites of a pipeline with their sums."""
    keys = ("total_time", "total_count", "success_count", "failed_count", "skipped_count", "error_count")
    sums: dict[str, Any] = {key: sum(suite[key] for suite in suites) for key in keys}
    return {**sums, "test_suites": list(suites)}
