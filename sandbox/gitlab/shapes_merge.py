"""GitLab's JSON for merge requests, their comments, and the hooks of a project; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gitlab import shapes

if TYPE_CHECKING:
    from sandbox.gitlab.hooks import Hook
    from sandbox.gitlab.store import Row

EVENTS = (
    "push_events",
    "tag_push_events",
    "merge_requests_events",
    "note_events",
    "job_events",
    "pipeline_events",
    "issues_events",
    "confidential_issues_events",
    "confidential_note_events",
    "wiki_page_events",
    "deployment_events",
    "releases_events",
    "feature_flag_events",
    "milestone_events",
    "emoji_events",
    "resource_access_token_events",
    "repository_update_events",
)


def merge_request(row: Row, of: Row, base: str) -> Row:
    """A merge request; `sha`, `status` and `conflicts` of the row were looked up before."""
    author = shapes.user(row["author"], base)
    short = f"!{row['iid']}"
    opened = row["state"] == "opened"
    return {
        **{key: row[key] for key in ("id", "iid", "project_id", "title", "description", "state")},
        **{key: row[key] for key in ("created_at", "updated_at", "source_branch", "target_branch", "labels", "sha")},
        **{key: row.get(key) for key in ("merged_at", "closed_at", "merge_commit_sha", "squash_commit_sha")},
        "author": author,
        "merged_by": author if row.get("merged_at") else None,
        "merge_user": author if row.get("merged_at") else None,
        "closed_by": author if row.get("closed_at") else None,
        "assignee": None,
        "assignees": [],
        "reviewers": [],
        "milestone": None,
        "source_project_id": row["project_id"],
        "target_project_id": row["project_id"],
        "user_notes_count": row["user_notes_count"],
        "upvotes": 0,
        "downvotes": 0,
        "draft": row["draft"],
        "work_in_progress": row["draft"],
        "merge_when_pipeline_succeeds": False,
        "merge_status": "cannot_be_merged" if row["conflicts"] else "can_be_merged",
        "detailed_merge_status": row["detailed_merge_status"],
        "has_conflicts": row["conflicts"],
        "discussion_locked": None,
        "should_remove_source_branch": row.get("should_remove_source_branch"),
        "force_remove_source_branch": bool(row.get("force_remove_source_branch")),
        "squash": bool(row.get("squash")),
        "reference": short,
        "references": {"short": short, "relative": short, "full": f"{of['path_with_namespace']}{short}"},
        "web_url": f"{base}/{of['path_with_namespace']}/-/merge_requests/{row['iid']}",
        "time_stats": {"time_estimate": 0, "total_time_spent": 0},
        "task_completion_status": {"count": 0, "completed_count": 0},
        "blocking_discussions_resolved": True,
        "user": {"can_merge": opened},
    }


def note(row: Row, base: str) -> Row:
    """A comment."""
    keys = ("id", "body", "created_at", "updated_at", "system", "noteable_id", "noteable_iid", "project_id")
    plain = {key: row[key] for key in keys} | {"author": shapes.user(row["author"], base), "type": None}
    plain |= {"noteable_type": "MergeRequest", "attachment": None, "resolvable": False}
    return {**plain, "confidential": False, "internal": False, "imported": False, "commands_changes": {}}


def hook(given: Hook) -> Row:
    """A hook without its token, which GitLab never tells."""
    return {
        **{key: given.row[key] for key in ("id", "url", "project_id", "created_at", "name", "description")},
        **{event: bool(given.row.get(event)) for event in EVENTS},
        "enable_ssl_verification": given.row["enable_ssl_verification"],
        "push_events_branch_filter": given.row.get("push_events_branch_filter"),
        "branch_filter_strategy": "wildcard",
        "custom_webhook_template": None,
        "custom_headers": [{"key": one["key"]} for one in given.row.get("custom_headers") or []],
        "alert_status": given.alert_status,
        "disabled_until": given.row.get("disabled_until"),
        "url_variables": [],
    }
