"""Merge requests and their comments: what GitLab keeps of them, and its words where it refuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.gitlab.clock import now
from sandbox.gitlab.refusals import NotFound, Refused
from sandbox.gitlab.repository_diffs import merge_base, merged_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sandbox.gitlab.repository import Repository
    from sandbox.gitlab.store import Row, Store

DRAFT = re.compile(r"\s*(?:\[draft\]|\(draft\)|draft:|draft\s-\s)\s*", re.IGNORECASE)
EDITABLE = ("title", "description", "target_branch", "squash", "remove_source_branch")
STATES = {"close": "closed", "reopen": "opened"}


class MergeRequests:
    """Those of all projects."""

    def __init__(self, store: Store) -> None:
        """Over the store."""
        self._store = store

    async def open(self, project: Row, repository: Repository, given: Mapping[str, Any], author: Row) -> Row:
        """A new merge request; Refused in GitLab's words where it cannot be."""
        source, target = str(given["source_branch"]), str(given["target_branch"])
        branches = await repository.branches()
        if source == target:
            raise Refused(["You can't use same project/branch for source and target"], 422)
        for name, branch in (("source_branch", source), ("target_branch", target)):
            if branch not in branches:
                raise Refused({name: ["does not exist"]})
        if not str(given["title"]).strip():
            raise Refused({"title": ["can't be blank"]})
        self._refuse_second(project, source, target)
        row: Row = {"project_id": project["id"], "source_branch": source, "target_branch": target, "state": "opened"}
        row |= {"iid": 1 + max((one["iid"] for one in self.all_of(project)), default=0), "author": _plain(author)}
        row |= {"title": str(given["title"]), "description": given.get("description"), "labels": labels(given)}
        row |= {"squash": bool(given.get("squash")), "created_at": now(), "updated_at": now()}
        row["force_remove_source_branch"] = bool(given.get("remove_source_branch"))
        return self._store.add("merge_request", row, project=project["id"])

    def _refuse_second(self, project: Row, source: str, target: str, *, but: int = 0) -> None:
        for one in self.all_of(project):
            if (one["state"], one["source_branch"], one["target_branch"]) == ("opened", source, target):
                if one["iid"] == but:
                    continue
                words = f"Another open merge request already exists for this source branch: !{one['iid']}"
                raise Refused([words], 409)

    def all_of(self, project: Row) -> list[Row]:
        """All of a project, newest first."""
        return self._store.list("merge_request", project=project["id"])

    def get(self, project: Row, iid: str) -> Row:
        """One by its number in the project; NotFound where there is none."""
        found = next((row for row in self.all_of(project) if str(row["iid"]) == iid), None)
        if found is None:
            raise NotFound
        return found

    async def looked_up(self, row: Row, repository: Repository) -> Row:
        """The row with what follows from its branches: head, draft, conflicts, whether it can be merged."""
        branches = await repository.branches()
        head = row.get("head") or branches.get(row["source_branch"])
        target = branches.get(row["target_branch"])
        conflicts = bool(row["state"] == "opened" and head and target)
        conflicts = conflicts and await merged_tree(repository, str(target), str(head)) is None
        draft = DRAFT.match(row["title"]) is not None
        status = "mergeable" if row["state"] == "opened" else "not_open"
        status = "draft_status" if draft and status == "mergeable" else status
        status = "conflict" if conflicts else status
        base = await merge_base(repository, target, head) if head and target else None
        notes = sum(not note["system"] for note in self.notes(row))
        refs = {"base_sha": base, "head_sha": head, "start_sha": target}
        found = {"sha": head, "conflicts": conflicts, "draft": draft, "detailed_merge_status": status}
        return {**row, **found, "user_notes_count": notes, "diff_refs": row.get("diff_refs") or refs}

    def update(self, project: Row, row: Row, given: Mapping[str, Any]) -> Row:
        """The merge request with what was given changed; Refused where that cannot be."""
        changes = {key: given[key] for key in EDITABLE if key in given}
        if "title" in changes and not str(changes["title"]).strip():
            raise Refused({"title": ["can't be blank"]})
        if "remove_source_branch" in changes:
            changes["force_remove_source_branch"] = bool(changes.pop("remove_source_branch"))
        if any(key in given for key in ("labels", "add_labels", "remove_labels")):
            changes["labels"] = labels(given, row["labels"])
        event = given.get("state_event")
        if event is not None:
            changes |= self._moved(project, row, str(event))
        return self._store.update("merge_request", row["id"], **changes, updated_at=now())

    def _moved(self, project: Row, row: Row, event: str) -> Row:
        if event not in STATES or row["state"] == "merged":
            raise Refused({"state_event": ["does not have a valid value"]})
        if event == "reopen":
            self._refuse_second(project, row["source_branch"], row["target_branch"], but=row["iid"])
        return {"state": STATES[event], "closed_at": now() if event == "close" else None}

    def merged(self, row: Row, sha: str, head: str, refs: Mapping[str, str | None]) -> Row:
        """It is merged by this commit; its head and what it came from stay as they were."""
        at = now()
        changes: Row = {"state": "merged", "merged_at": at, "updated_at": at, "merge_commit_sha": sha, "head": head}
        return self._store.update("merge_request", row["id"], **changes, diff_refs=dict(refs))

    def remove(self, row: Row) -> None:
        """Forget it and its comments."""
        for note in self.notes(row):
            self._store.remove("note", note["id"])
        self._store.remove("merge_request", row["id"])

    def notes(self, row: Row) -> list[Row]:
        """The comments of a merge request, newest first."""
        return [one for one in self._store.list("note", project=row["project_id"]) if one["noteable_id"] == row["id"]]

    def note(self, row: Row, key: str) -> Row:
        """One comment; NotFound where there is none."""
        found = next((one for one in self.notes(row) if str(one["id"]) == key), None)
        if found is None:
            raise NotFound("Note")
        return found

    def comment(self, row: Row, body: str, author: Row, *, system: bool = False) -> Row:
        """A new comment; Refused where it is blank."""
        made: Row = {"project_id": row["project_id"], "noteable_id": row["id"], "noteable_iid": row["iid"]}
        made |= {"body": _said(body), "author": _plain(author), "system": system}
        self._store.update("merge_request", row["id"], updated_at=now())
        return self._store.add("note", {**made, "created_at": now(), "updated_at": now()}, project=row["project_id"])

    def edit_note(self, note: Row, body: str) -> Row:
        """The comment with another text; Refused where it is blank."""
        return self._store.update("note", note["id"], body=_said(body), updated_at=now())

    def remove_note(self, note: Row) -> None:
        """Forget a comment."""
        self._store.remove("note", note["id"])


def labels(given: Mapping[str, Any], before: list[str] | None = None) -> list[str]:
    """The labels after `labels`, `add_labels` and `remove_labels`, sorted as GitLab lists them."""
    kept = _words(given["labels"]) if "labels" in given else list(before or [])
    kept += _words(given.get("add_labels"))
    gone = set(_words(given.get("remove_labels")))
    return sorted({one for one in kept if one not in gone})


def _words(given: Any) -> list[str]:
    parts = given if isinstance(given, list) else str(given or "").split(",")
    return [str(one).strip() for one in parts if str(one).strip()]


def _said(body: str) -> str:
    if not body.strip():
        raise Refused('400 Bad request - Note {:note=>["can\'t be blank"]}')
    return body


def _plain(author: Row) -> Row:
    return {key: author[key] for key in ("id", "username", "name")}
