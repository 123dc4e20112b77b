"""GitLab's JSON: one function per kind of answer; pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.gitlab.ci import Compiled
    from sandbox.gitlab.repository import CommitInfo
    from sandbox.gitlab.store import Row


def user(row: Row, base: str) -> Row:
    """A user."""
    plain = {key: row[key] for key in ("id", "username", "name")}
    return {**plain, "state": "active", "avatar_url": None, "web_url": f"{base}/{row['username']}"}


def project(row: Row, base: str, *, empty: bool) -> Row:
    """A project."""
    path = row["path_with_namespace"]
    namespace = path.rpartition("/")[0]
    return {
        **{key: row[key] for key in ("id", "path", "path_with_namespace", "created_at", "visibility")},
        "name": row["path"],
        "name_with_namespace": path.replace("/", " / "),
        "description": None,
        "default_branch": None if empty else row["default_branch"],
        "web_url": f"{base}/{path}",
        "http_url_to_repo": f"{base}/{path}.git",
        "ssh_url_to_repo": f"git@{base.partition('://')[2]}:{path}.git",
        "empty_repo": empty,
        "archived": False,
        "topics": [],
        "namespace": {"name": namespace, "path": namespace, "full_path": namespace, "kind": "group"},
        "last_activity_at": row["created_at"],
    }


def commit(info: CommitInfo, of: Row, base: str) -> Row:
    """A commit."""
    return {
        "id": info.sha,
        "short_id": info.sha[:8],
        "created_at": info.committed,
        "parent_ids": list(info.parents),
        "title": info.title,
        "message": info.message,
        "author_name": info.author.name,
        "author_email": info.author.email,
        "authored_date": info.authored,
        "committer_name": info.committer.name,
        "committer_email": info.committer.email,
        "committed_date": info.committed,
        "trailers": {},
        "extended_trailers": {},
        "web_url": f"{base}/{of['path_with_namespace']}/-/commit/{info.sha}",
        "project_id": of["id"],
        "status": None,
    }


def branch(name: str, info: CommitInfo, of: Row, base: str) -> Row:
    """A branch with its newest commit."""
    return {
        "name": name,
        "commit": commit(info, of, base),
        "merged": False,
        "protected": name == of["default_branch"],
        "default": name == of["default_branch"],
        "can_push": True,
        "developers_can_push": False,
        "developers_can_merge": False,
        "web_url": f"{base}/{of['path_with_namespace']}/-/tree/{name}",
    }


def pipeline(row: Row, of: Row, base: str, *, short: bool = False) -> Row:
    """A pipeline; `short` as the list has it."""
    keys = ("id", "project_id", "sha", "ref", "status", "source", "created_at", "updated_at")
    web_url = f"{base}/{of['path_with_namespace']}/-/pipelines/{row['id']}"
    plain = {key: row[key] for key in keys} | {"iid": row["id"], "web_url": web_url, "name": None}
    if short:
        return plain
    return plain | {
        **{key: row[key] for key in ("yaml_errors", "started_at", "finished_at")},
        "tag": False,
        "before_sha": "0" * 40,
        "duration": _seconds(row),
        "queued_duration": 0,
        "coverage": None,
    }


def job(row: Row, in_pipeline: Row, of: Row, base: str) -> Row:
    """A job; GitLab names a failure reason only where the job failed."""
    keys = ("id", "name", "stage", "status", "ref", "allow_failure", "created_at", "started_at", "finished_at")
    shape = {
        **{key: row[key] for key in keys},
        "tag": False,
        "coverage": None,
        "duration": _seconds(row),
        "queued_duration": 0.0,
        "web_url": f"{base}/{of['path_with_namespace']}/-/jobs/{row['id']}",
        "commit": {"id": row["sha"], "short_id": row["sha"][:8]},
        "pipeline": pipeline(in_pipeline, of, base, short=True),
        "artifacts": [],
        "runner": None,
        "tag_list": [],
    }
    return shape | ({"failure_reason": row["failure_reason"]} if row["status"] == "failed" else {})


def tree(files: Mapping[str, str], path: str, *, recursive: bool) -> list[Row]:
    """The entries below a folder, folders included; without `recursive` those of one level."""
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    entries: dict[str, Row] = {}
    for name, mode in files.items():
        if not name.startswith(prefix):
            continue
        parts = name[len(prefix) :].split("/")
        for depth in range(1, len(parts)) if recursive else range(1, min(len(parts), 2)):
            folder = prefix + "/".join(parts[:depth])
            entries[folder] = {"name": parts[depth - 1], "path": folder, "type": "tree", "mode": "040000", "id": ""}
        if recursive or len(parts) == 1:
            entries[name] = {"name": parts[-1], "path": name, "type": "blob", "mode": mode, "id": ""}
    return list(entries.values())


def lint(compiled: Compiled) -> Row:
    """The answer of ci/lint."""
    jobs: list[dict[str, Any]] = [
        {"name": one.name, "stage": one.stage, "script": list(one.script), "when": one.when} for one in compiled.jobs
    ]
    return {
        "valid": not compiled.errors,
        "errors": list(compiled.errors),
        "warnings": list(compiled.warnings),
        "merged_yaml": compiled.merged_yaml,
        "includes": [],
        "jobs": jobs,
    }


def _seconds(row: Row) -> float | None:
    if not row["started_at"] or not row["finished_at"]:
        return None
    begin, end = (datetime.fromisoformat(row[key]) for key in ("started_at", "finished_at"))
    return round((end - begin).total_seconds(), 3)
