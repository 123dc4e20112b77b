"""GitLab's JSON for users, projects and what lies in a repository: one function per kind of answer; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.gitlab.repository import FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.gitlab.ci import Compiled
    from sandbox.gitlab.repository import CommitInfo
    from sandbox.gitlab.repository_diffs import FileDiff, Tag
    from sandbox.gitlab.store import Row

VISIBILITY_LEVELS = {"private": 0, "internal": 10, "public": 20}


def user(row: Row, base: str) -> Row:
    """A user, as others see it."""
    plain = {key: row[key] for key in ("id", "username", "name")}
    return {**plain, "state": "active", "locked": False, "avatar_url": None, "web_url": f"{base}/{row['username']}"}


def own_user(row: Row, base: str) -> Row:
    """The user whose token asks."""
    more = {"email": row["email"], "is_admin": row["id"] == 1, "bot": row.get("project") is not None}
    return {
        **user(row, base),
        **more,
        "can_create_project": True,
        "can_create_group": True,
        "two_factor_enabled": False,
    }


def namespace(row: Row, base: str) -> Row:
    """A namespace: a user's own, or a group."""
    path = row["full_path"]
    web = f"{base}/{path}" if row["kind"] == "user" else f"{base}/groups/{path}"
    shape = {"id": row["id"], "name": path.rpartition("/")[2], "path": path.rpartition("/")[2], "kind": row["kind"]}
    return {**shape, "full_path": path, "parent_id": row.get("parent_id"), "avatar_url": None, "web_url": web}


def group(row: Row, base: str) -> Row:
    """A namespace as a group."""
    more = {"full_name": row["full_path"].replace("/", " / "), "visibility": "private", "description": ""}
    return {**namespace(row, base), **more}


def project(row: Row, base: str, of: Row | None = None, *, empty: bool, level: int | None = None) -> Row:
    """A project in its namespace; `level` is the access level of who asks."""
    path = row["path_with_namespace"]
    within = of or {"id": 0, "full_path": path.rpartition("/")[0], "kind": "group"}
    name = row.get("name") or row["path"]
    access = {"access_level": level, "notification_level": 3} if level else None
    return {
        **{key: row[key] for key in ("id", "path", "path_with_namespace", "created_at", "visibility")},
        "name": name,
        "name_with_namespace": f"{within['full_path'].replace('/', ' / ')} / {name}",
        "description": row.get("description"),
        "default_branch": None if empty else row["default_branch"],
        "web_url": f"{base}/{path}",
        "http_url_to_repo": f"{base}/{path}.git",
        "ssh_url_to_repo": f"git@{base.partition('://')[2].partition(':')[0]}:{path}.git",
        "readme_url": None,
        "empty_repo": empty,
        "archived": False,
        "topics": [],
        "tag_list": [],
        "forks_count": 0,
        "star_count": 0,
        "avatar_url": None,
        "ci_config_path": row.get("ci_config_path"),
        "builds_access_level": "enabled",
        "jobs_enabled": True,
        "merge_requests_enabled": True,
        "namespace": namespace(within, base),
        "last_activity_at": row.get("last_activity_at") or row["created_at"],
        "permissions": {"project_access": access, "group_access": None},
        "_links": {"self": f"{base}/api/v4/projects/{row['id']}"},
    }


def commit(info: CommitInfo, of: Row, base: str) -> Row:
    """A commit."""
    extended: dict[str, list[str]] = {}
    for key, value in info.trailers:
        extended.setdefault(key, []).append(value)
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
        "trailers": dict(info.trailers),
        "extended_trailers": extended,
        "web_url": f"{base}/{of['path_with_namespace']}/-/commit/{info.sha}",
    }


def branch(name: str, info: CommitInfo, of: Row, base: str, *, merged: bool = False) -> Row:
    """A branch with its newest commit; the default branch is protected."""
    default = name == of["default_branch"]
    return {
        "name": name,
        "commit": commit(info, of, base),
        "merged": merged,
        "protected": default,
        "default": default,
        "can_push": True,
        "developers_can_push": False,
        "developers_can_merge": False,
        "web_url": f"{base}/{of['path_with_namespace']}/-/tree/{name}",
    }


def tag(given: Tag, info: CommitInfo, of: Row, base: str) -> Row:
    """A tag with its commit."""
    made = commit(info, of, base)
    shape = {"name": given.name, "message": given.message, "target": given.sha, "commit": made, "release": None}
    return {**shape, "protected": False, "created_at": given.created}


def diff(changed: FileDiff) -> Row:
    """One changed file."""
    return {
        "diff": changed.diff,
        "new_path": changed.new_path,
        "old_path": changed.old_path,
        "a_mode": changed.old_mode,
        "b_mode": changed.new_mode,
        "new_file": changed.kind == "A",
        "renamed_file": changed.kind == "R",
        "deleted_file": changed.kind == "D",
        "generated_file": False,
    }


def tree(entries: Mapping[str, tuple[str, str]], path: str, *, recursive: bool) -> list[Row]:
    """The entries below a folder, folders first, as GitLab lists them; without `recursive` those of one level."""
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    shown = [
        {"id": oid, "name": name.rpartition("/")[2], "type": "tree" if mode == FOLDER else "blob"}
        | {"path": name, "mode": mode}
        for name, (mode, oid) in entries.items()
        if name.startswith(prefix) and (recursive or "/" not in name[len(prefix) :])
    ]
    return sorted(shown, key=lambda entry: entry["type"] != "tree")


def lint(compiled: Compiled, *, jobs: bool) -> Row:
    """The answer of ci/lint; with its jobs where they were asked for."""
    document: Row = {
        "valid": not compiled.errors,
        "errors": list(compiled.errors),
        "warnings": list(compiled.warnings),
        "merged_yaml": compiled.merged_yaml,
        "includes": [],
    }
    return document | ({"jobs": [_lint_job(one) for one in compiled.jobs]} if jobs else {})


def _lint_job(one: Any) -> Row:
    return {
        "name": one.name,
        "stage": one.stage,
        "before_script": list(one.before_script),
        "script": list(one.script),
        "after_script": list(one.after_script),
        "tag_list": list(one.tags),
        "environment": one.environment,
        "when": one.when,
        "allow_failure": one.allow_failure,
        "only": None,
        "except": None,
        "needs": None if one.needs is None else [{"name": name} for name in one.needs],
    }
