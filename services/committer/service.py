"""Committer: puts the two files on the run's branch, exactly once, through the GitLab API."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.committer import decide
from services.committer.settings import Settings
from shared.adapters.gitlab import GitLabClient
from shared.errors import Reject, Retry
from shared.events import CommitCreated, ImagesSeeded, RunFailed
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.events import Commit
    from shared.ports import GitLab, Project


@dataclass(frozen=True)
class Deps:
    """GitLab, where it is, and what branches are called."""

    gitlab: GitLab
    gitlab_url: str
    branch_prefix: str


@asynccontextmanager
async def connect(settings: Settings, _bus: Bus) -> AsyncIterator[Deps]:
    """A client of GitLab."""
    async with GitLabClient.connect(settings) as gitlab:
        yield Deps(gitlab, settings.gitlab_url, settings.branch_prefix)


async def commit(event: ImagesSeeded, deps: Deps) -> CommitCreated | RunFailed:
    """The commit of this event: made now, or found because an earlier delivery made it."""
    if event.proposal.rerun:
        rerun = event.proposal.rerun
        await deps.gitlab.retry_pipeline(rerun.commit.project_id, rerun.pipeline_id)
        return _created(event, rerun.commit, created=False)
    path = decide.project_path(event.proposal.submission, deps.gitlab_url)
    if path is None:
        reason = f"{event.proposal.submission.repo_url} is not on {deps.gitlab_url}; name a project with --project"
        return RunFailed(run_id=event.run_id, attempt=event.attempt, phase="committer", reason=reason)
    project = await deps.gitlab.project(path)
    branch = decide.branch_name(event.run_id, deps.branch_prefix)
    found = await deps.gitlab.find_commit(project, branch, decide.trailer(event.subject))
    if found:
        return _created(event, found, created=False)
    return _created(event, await _commit(event, deps, project, branch), created=True)


async def _commit(event: ImagesSeeded, deps: Deps, project: Project, branch: str) -> Commit:
    """Make the commit; after an answer that never came, or a rival's commit, look whether it is there."""
    paths = list(event.proposal.files.by_path())
    on_branch = await deps.gitlab.files_at(project.id, branch, paths)
    exists = bool(on_branch)
    if not exists and project.default_branch:
        on_branch = await deps.gitlab.files_at(project.id, project.default_branch, paths)
    start = None if exists else project.default_branch
    message = decide.message(event.proposal, event.subject, event.attempt)
    try:
        return await deps.gitlab.commit(project, branch, start, message, decide.changes(event.proposal, on_branch))
    except (Retry, Reject):
        found = await deps.gitlab.find_commit(project, branch, decide.trailer(event.subject))
        if found is None:
            raise
        return found


def _created(event: ImagesSeeded, commit: Commit, *, created: bool) -> CommitCreated:
    return CommitCreated(
        run_id=event.run_id,
        attempt=event.attempt,
        proposal=event.proposal,
        images=event.images,
        commit=commit,
        created=created,
    )


service = Service("committer", Settings, connect, {ImagesSeeded: commit})
