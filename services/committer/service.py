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
    from shared.events import Rerun
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
    """The commit of this event: made now, or found because an earlier delivery or a rival made it."""
    if event.proposal.rerun:
        return await _run_again(event, event.proposal.rerun, deps.gitlab)
    path = decide.project_path(event.proposal.submission, deps.gitlab_url)
    if path is None:
        return decide.nowhere(event, deps.gitlab_url)
    project = await deps.gitlab.project(path)
    branch = decide.branch_name(event.run_id, deps.branch_prefix)
    # What the branch holds is read before the trailer is looked for: a rival's commit is then either found, or it
    # makes what was read stale, and GitLab refuses ours.
    held = await _held(event, deps.gitlab, project, branch)
    mark = decide.trailer(event.subject)
    found = await deps.gitlab.find_commit(project, branch, mark)
    if found:
        return decide.created(event, found, new=False)
    text = decide.message(event.proposal, event.subject, event.attempt)
    changes = decide.changes(event.proposal, held)
    try:
        made = await deps.gitlab.commit(project, branch, held.start_branch, text, changes)
    except (Retry, Reject) as error:
        found = await deps.gitlab.find_commit(project, branch, mark)
        if found:
            return decide.created(event, found, new=False)
        if isinstance(error, Reject) and await _held(event, deps.gitlab, project, branch) != held:
            raise Retry(f"the branch {branch} of {project.path} moved meanwhile: {error.reason}") from error
        raise
    return decide.created(event, made, new=True)


async def _held(event: ImagesSeeded, gitlab: GitLab, project: Project, branch: str) -> decide.Held:
    """The files on the run's branch, or on the default branch where the run has none yet."""
    paths = list(event.proposal.files.by_path())
    # Before the contents: a change between the two makes these stale, never too new.
    last_commits = await gitlab.last_commits(project.id, branch, paths)
    if last_commits:
        return decide.Held(None, await gitlab.files_at(project.id, branch, paths), last_commits)
    if project.default_branch is None:
        return decide.Held()
    return decide.Held(project.default_branch, await gitlab.files_at(project.id, project.default_branch, paths))


async def _run_again(event: ImagesSeeded, rerun: Rerun, gitlab: GitLab) -> CommitCreated:
    """The old commit, its pipeline running again; asked for once, however often the event is delivered."""
    project_id = rerun.commit.project_id
    if not rerun.begun(await gitlab.pipeline(project_id, rerun.pipeline_id)):
        await gitlab.retry_pipeline(project_id, rerun.pipeline_id)
    return decide.created(event, rerun.commit, new=False)


service = Service("committer", Settings, connect, {ImagesSeeded: commit})
