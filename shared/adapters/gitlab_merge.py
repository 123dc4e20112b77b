"""GitLab's merge requests and their comments, through the client of `shared.adapters.gitlab`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gitlab.exceptions import GitlabError

from shared.adapters.gitlab_errors import CONFLICT, TO_MERGE
from shared.errors import Reject, Retry
from shared.events import MergeRequest
from shared.ports import Note

if TYPE_CHECKING:
    import gitlab

    from shared.adapters.gitlab import GitLabClient
    from shared.ports import Project

# What GitLab reads as a draft at the beginning of a title (Gitlab::Regex.merge_request_draft).
DRAFT = re.compile(r"\A\s*(?:\[draft\]|\(draft\)|draft:)\s*", re.IGNORECASE)
PAGE = 100


class GitLabMergeRequests:
    """Implements `shared.ports.MergeRequests`."""

    def __init__(self, client: GitLabClient) -> None:
        """Over a connected client."""
        self._client = client

    async def find(self, project: Project, branch: str, mark: str) -> MergeRequest | None:
        """The one from this branch with the mark in its description, whatever became of it, else an open one."""

        def read(api: gitlab.Gitlab) -> MergeRequest | None:
            every = _of(api, project.id).list(source_branch=branch, state="all", per_page=PAGE, get_all=False)
            ours = next((one for one in every if mark in (one.description or "")), None)
            found = ours or next((one for one in every if one.state == "opened"), None)
            return None if found is None else _merge_request(found)

        return await self._client.call(read)

    async def open(self, project: Project, branch: str, title: str, description: str) -> MergeRequest:
        """A new one into the default branch; Reject in GitLab's words where it cannot be. Never repeated here."""
        body: dict[str, Any] = {"source_branch": branch, "target_branch": project.default_branch, "title": title}
        body |= {"description": description, "remove_source_branch": True}

        def write(api: gitlab.Gitlab) -> MergeRequest:
            try:
                return _merge_request(_of(api, project.id).create(body))
            except GitlabError as error:
                if error.response_code == CONFLICT:
                    raise Retry("a merge request of this branch was opened meanwhile") from error
                raise

        return await self._client.call(write, needs=TO_MERGE)

    async def note(self, project_id: int, iid: int, mark: str) -> Note | None:
        """The oldest comment with the mark in it."""

        def read(api: gitlab.Gitlab) -> Note | None:
            notes = _lazy(api, project_id, iid).notes
            every = notes.list(iterator=True, order_by="created_at", sort="asc", per_page=PAGE)
            found = min((one for one in every if mark in one.body), key=lambda one: one.id, default=None)
            return None if found is None else Note(found.id, found.body)

        return await self._client.call(read)

    async def write_note(self, project_id: int, iid: int, body: str, replaces: Note | None) -> None:
        """A new comment, or another text in the place of one."""

        def write(api: gitlab.Gitlab) -> None:
            notes = _lazy(api, project_id, iid).notes
            if replaces is None:
                notes.create({"body": body})
            else:
                notes.update(replaces.id, {"body": body})

        await self._client.call(write, needs=TO_MERGE)

    async def mark_ready(self, project_id: int, iid: int) -> None:
        """It is no draft any more; nothing is done to one that is none. Reject where it is not open."""

        def write(api: gitlab.Gitlab) -> None:
            found = _of(api, project_id).get(iid)
            if found.state != "opened":
                raise Reject(f"it is {found.state}")
            if DRAFT.match(found.title):
                found.title = DRAFT.sub("", found.title)
                found.save()

        missing = f"the merge request !{iid} is gone"
        await self._client.call(write, needs=TO_MERGE, missing=missing)


def _of(api: gitlab.Gitlab, project_id: int) -> Any:
    return api.projects.get(project_id, lazy=True).mergerequests


def _lazy(api: gitlab.Gitlab, project_id: int, iid: int) -> Any:
    """The merge request without asking for it."""
    return _of(api, project_id).get(iid, lazy=True)


def _merge_request(found: Any) -> MergeRequest:
    return MergeRequest(iid=found.iid, web_url=found.web_url, draft=bool(DRAFT.match(found.title)))
