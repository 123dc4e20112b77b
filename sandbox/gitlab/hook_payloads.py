"""The bodies of GitLab's webhooks; pure. Times have the form that hooks use, not that of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.gitlab.clock import in_hooks, seconds_between
from sandbox.gitlab.shapes import VISIBILITY_LEVELS
from sandbox.gitlab.shapes_ci import LABELS, warned, web_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.gitlab.store import Row

NOWHERE = "0" * 40
RUNNER = {"id": 1, "description": "sandbox", "runner_type": "instance_type", "active": True, "is_shared": True}
RUNNER |= {"tags": []}


def project(row: Row, base: str) -> Row:
    """The project as hooks describe it."""
    path = row["path_with_namespace"]
    url = f"{base}/{path}"
    ssh = f"git@{base.partition('://')[2].partition(':')[0]}:{path}.git"
    return {
        "id": row["id"],
        "name": row.get("name") or row["path"],
        "description": row.get("description") or "",
        "web_url": url,
        "avatar_url": None,
        "git_ssh_url": ssh,
        "git_http_url": f"{url}.git",
        "namespace": path.rpartition("/")[0],
        "visibility_level": VISIBILITY_LEVELS.get(row["visibility"], 0),
        "path_with_namespace": path,
        "default_branch": row["default_branch"],
        "ci_config_path": row.get("ci_config_path"),
        "homepage": url,
        "url": ssh,
        "ssh_url": ssh,
        "http_url": f"{url}.git",
    }


def repository(row: Row, base: str) -> Row:
    """The repository, an older form of the project."""
    whole = project(row, base)
    keys = ("name", "url", "description", "homepage", "git_http_url", "git_ssh_url", "visibility_level")
    return {key: whole[key] for key in keys}


def user(row: Row) -> Row:
    """Who did it; the address stays private."""
    return {key: row[key] for key in ("id", "name", "username")} | {"avatar_url": None, "email": "[REDACTED]"}


def pipeline(row: Row, jobs: Sequence[Row], of: Row, base: str, by: Row) -> Row:
    """A Pipeline Hook."""
    return {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": row["id"],
            "iid": row.get("iid") or row["id"],
            "name": row.get("name"),
            "ref": row["ref"],
            "tag": bool(row.get("tag")),
            "sha": row["sha"],
            "before_sha": row.get("before_sha") or NOWHERE,
            "source": row["source"],
            "status": row["status"],
            "detailed_status": _detailed(row["status"], jobs),
            "stages": list(dict.fromkeys(job["stage"] for job in sorted(jobs, key=lambda job: job["id"]))),
            "created_at": in_hooks(row["created_at"]),
            "finished_at": in_hooks(row["finished_at"]),
            "duration": _whole(seconds_between(row["started_at"], row["finished_at"])),
            "queued_duration": _whole(seconds_between(row["created_at"], row["started_at"])),
            "protected_ref": row["ref"] == of["default_branch"],
            "variables": [{key: one[key] for key in ("key", "value")} for one in row.get("variables", [])],
            "url": web_url(row, of, base),
        },
        "merge_request": None,
        "user": user(by),
        "project": project(of, base),
        "commit": _commit(row, of, base),
        "builds": [_build(job, by) for job in jobs],
    }


def _detailed(status: str, jobs: Sequence[Row]) -> str:
    return "passed with warnings" if status == "success" and warned(jobs) else LABELS.get(status, status)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def _commit(row: Row, of: Row, base: str) -> Row:
    commit = row.get("commit") or {}
    author = {"name": commit.get("author_name"), "email": commit.get("author_email")}
    return {
        "id": row["sha"],
        "message": commit.get("message"),
        "title": commit.get("title"),
        "timestamp": commit.get("committed_date"),
        "url": f"{base}/{of['path_with_namespace']}/-/commit/{row['sha']}",
        "author": author,
    }


def _build(job: Row, by: Row) -> Row:
    times = {key: in_hooks(job[key]) for key in ("created_at", "started_at", "finished_at")}
    archive = job.get("archive") or {}
    return {
        **{key: job[key] for key in ("id", "stage", "name", "status", "allow_failure")},
        **times,
        "duration": seconds_between(job["started_at"], job["finished_at"]),
        "queued_duration": seconds_between(job["created_at"], job["started_at"]),
        "failure_reason": job["failure_reason"] if job["status"] == "failed" else None,
        "when": job.get("when", "on_success"),
        "manual": job.get("when") == "manual",
        "user": user(by),
        "runner": RUNNER if job["started_at"] else None,
        "artifacts_file": {"filename": "artifacts.zip" if archive else None, "size": archive.get("size")},
        "environment": None,
    }


def job(row: Row, in_pipeline: Row, of: Row, base: str, by: Row) -> Row:
    """A Job Hook; its `commit.id` is the pipeline's, as on GitLab."""
    commit = in_pipeline.get("commit") or {}
    times = {f"build_{key}": in_hooks(row[key]) for key in ("created_at", "started_at", "finished_at")}
    return {
        "object_kind": "build",
        "ref": row["ref"],
        "tag": bool(in_pipeline.get("tag")),
        "before_sha": in_pipeline.get("before_sha") or NOWHERE,
        "sha": row["sha"],
        "retries_count": row.get("attempt", 0),
        "build_id": row["id"],
        "build_name": row["name"],
        "build_stage": row["stage"],
        "build_status": row["status"],
        **times,
        "build_duration": seconds_between(row["started_at"], row["finished_at"]),
        "build_queued_duration": seconds_between(row["created_at"], row["started_at"]),
        "build_allow_failure": row["allow_failure"],
        "build_failure_reason": (row["failure_reason"] or "unknown_failure") if row["status"] == "failed" else None,
        "pipeline_id": in_pipeline["id"],
        "runner": RUNNER if row["started_at"] else None,
        "project_id": of["id"],
        "project_name": of["path_with_namespace"].replace("/", " / "),
        "user": user(by),
        "commit": {
            "id": in_pipeline["id"],
            "name": in_pipeline.get("name"),
            "sha": row["sha"],
            "message": commit.get("message"),
            "author_name": commit.get("author_name"),
            "author_email": commit.get("author_email"),
            "author_url": f"mailto:{commit.get('author_email')}",
            "status": in_pipeline["status"],
            "duration": _whole(seconds_between(in_pipeline["started_at"], in_pipeline["finished_at"])),
            "started_at": in_hooks(in_pipeline["started_at"]),
            "finished_at": in_hooks(in_pipeline["finished_at"]),
        },
        "repository": repository(of, base),
        "project": project(of, base),
        "environment": None,
    }


def push(ref: str, before: str, after: str, commits: Sequence[Row], of: Row, base: str, by: Row) -> Row:
    """A Push Hook, or a Tag Push Hook where the ref is a tag."""
    kind = "tag_push" if ref.startswith("refs/tags/") else "push"
    return {
        "object_kind": kind,
        "event_name": kind,
        "before": before,
        "after": after,
        "ref": ref,
        "ref_protected": ref == f"refs/heads/{of['default_branch']}",
        "checkout_sha": None if after == NOWHERE else after,
        "message": None,
        "user_id": by["id"],
        "user_name": by["name"],
        "user_username": by["username"],
        "user_email": None,
        "user_avatar": None,
        "project_id": of["id"],
        "project": project(of, base),
        "commits": [_pushed(commit) for commit in commits],
        "total_commits_count": len(commits),
        "push_options": {},
        "repository": repository(of, base),
    }


def _pushed(commit: Row) -> Row:
    author = {"name": commit["author_name"], "email": commit["author_email"]}
    plain = {"id": commit["id"], "message": commit["message"], "title": commit["title"], "author": author}
    return {**plain, "timestamp": commit["committed_date"], "url": commit["web_url"]}


def merge_request(shaped: Row, action: str, of: Row, base: str, by: Row) -> Row:
    """A Merge Request Hook for a merge request as the API shows it."""
    keys = ("id", "iid", "title", "description", "state", "source_branch", "target_branch", "draft", "merge_status")
    attributes: dict[str, Any] = {key: shaped[key] for key in keys}
    attributes |= {"action": action, "url": shaped["web_url"], "last_commit": {"id": shaped["sha"]}}
    attributes |= {key: shaped[key] for key in ("created_at", "updated_at", "detailed_merge_status")}
    described = {"project": project(of, base), "repository": repository(of, base), "labels": [], "changes": {}}
    return {"object_kind": "merge_request", "event_type": "merge_request", "user": user(by), **described} | {
        "object_attributes": attributes
    }


def note(shaped_note: Row, shaped: Row, of: Row, base: str, by: Row) -> Row:
    """A Note Hook of a comment on a merge request."""
    attributes = {key: shaped_note[key] for key in ("id", "noteable_type", "created_at", "updated_at", "system")}
    attributes |= {"note": shaped_note["body"], "action": "create"}
    attributes["url"] = f"{shaped['web_url']}#note_{shaped_note['id']}"
    described = {"project": project(of, base), "repository": repository(of, base), "project_id": of["id"]}
    merge = {key: shaped[key] for key in ("id", "iid", "title", "state", "source_branch", "target_branch")}
    return {"object_kind": "note", "event_type": "note", "user": user(by), **described} | {
        "object_attributes": attributes,
        "merge_request": merge,
    }
