"""Committer: puts the two files on a branch, exactly once, through the GitLab API."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.committer import decide
from services.committer.settings import Settings
from shared import merge_request
from shared.adapters.git_import import GitImport
from shared.adapters.gitlab import GitLabClient
from shared.adapters.gitlab_merge import GitLabMergeRequests
from shared.errors import Reject, Retry
from shared.events import CommitCreated, ImagesSeeded, MergeRequest, PipelineFailed, RunFailed
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.events import Commit, Rerun, Submission
    from shared.ports import GitLab, Importer, MergeRequests, Project


@dataclass(frozen=True)
class Deps:
    """GitLab and its merge requests, what imports a repository, and the settings."""

    gitlab: GitLab
    merge_requests: MergeRequests
    importer: Importer
    settings: Settings


@asynccontextmanager
async def connect(settings: Settings, _bus: Bus) -> AsyncIterator[Deps]:
    """A client of GitLab."""
    async with GitLabClient.connect(settings) as gitlab:
        yield Deps(gitlab, GitLabMergeRequests(gitlab), GitImport(settings, settings), settings)


async def commit(event: ImagesSeeded, deps: Deps) -> CommitCreated | PipelineFailed | RunFailed:
    """The commit of this event: made now, or found because an earlier delivery or a rival made it.

    What GitLab's lint refuses is not committed; it goes back as a failed attempt.
    """
    if event.proposal.rerun:
        return await _run_again(event, event.proposal.rerun, deps)
    path = decide.project_path(event.proposal.submission, deps.settings.gitlab_url)
    if path is None:
        return decide.nowhere(event, deps.settings.gitlab_url)
    project = await _project(event.proposal.submission, path, deps)
    branch = decide.branch_of(event, deps.settings.branch_prefix)
    if over := decide.unmergeable(event, project, branch):
        return over
    made = await _committed(event, deps, project, branch)
    if isinstance(made, PipelineFailed):
        return made
    return made.model_copy(update={"merge_request": await _merge_request(event, deps, project, made.commit)})


async def _project(submission: Submission, path: str, deps: Deps) -> Project:
    """The project to commit to; made where that was asked for, its branch brought where it is still empty."""
    if submission.create_project is None:
        return await deps.gitlab.project(path)
    project = await deps.gitlab.find_project(path) or await deps.gitlab.create_project(path)
    if submission.create_project == "empty" or project.default_branch is not None:
        return project
    branch = await deps.importer.push(submission.repo_url, submission.ref, project.path)
    # GitLab names the first branch the default one in the background.
    return replace(project, default_branch=branch)


async def _committed(event: ImagesSeeded, deps: Deps, project: Project, branch: str) -> CommitCreated | PipelineFailed:
    """The commit with this event's trailer, or what GitLab's lint says against making it."""
    gitlab = deps.gitlab
    # What the branch holds is read before the trailer is looked for: a rival's commit is then either found, or it
    # makes what was read stale, and GitLab refuses ours.
    held = await _held(event, gitlab, project, branch)
    mark, since = decide.trailer(event.subject), decide.looked_for_since(event.run_id)
    found = await gitlab.find_commit(project, branch, mark, since)
    if found:
        return decide.created(event, found, new=False)
    if complaints := await gitlab.lint(project.id, event.proposal.files.pipeline):
        return decide.refused(event, complaints)
    message = decide.message(event, deps.settings.run_name(event.run_id))
    changes = decide.changes(event.proposal, held)
    try:
        made = await gitlab.commit(project, branch, held.start_branch, message, changes)
    except (Retry, Reject) as error:
        found = await gitlab.find_commit(project, branch, mark, since)
        if found:
            return decide.created(event, found, new=False)
        if isinstance(error, Reject) and await _held(event, gitlab, project, branch) != held:
            raise Retry(f"the branch {branch} of {project.path} moved meanwhile: {error.reason}") from error
        raise
    return decide.created(event, made, new=True)


async def _merge_request(event: ImagesSeeded, deps: Deps, project: Project, made: Commit) -> MergeRequest | None:
    """The merge request that was asked for, opened or found, its comment at this attempt.

    A refusal does not undo the commit: the event says what could not be done.
    """
    if not event.proposal.submission.merge_request:
        return None
    found: MergeRequest | None = None
    try:
        found = await _opened(event, deps, project, made.branch)
        report, run = decide.report(event, made), deps.settings.run_name(event.run_id)
        repairs = event.proposal.repairs
        await merge_request.tell(deps.merge_requests, project.id, found.iid or 0, report, event, repairs, run)
    except Reject as error:
        return (found or MergeRequest()).model_copy(update={"problem": error.reason})
    return found


async def _opened(event: ImagesSeeded, deps: Deps, project: Project, branch: str) -> MergeRequest:
    """The merge request of the run; GitLab allows one open one for a branch, so a rival's is found."""
    found = await deps.merge_requests.find(project, branch, merge_request.mark(event.run_id))
    if found:
        return found
    findings, run = decide.findings(event, deps.settings.nexus_registry), deps.settings.run_name(event.run_id)
    text = merge_request.description(event, event.proposal, event.images, findings, run)
    return await deps.merge_requests.open(project, branch, merge_request.title(event.proposal), text)


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


async def _run_again(event: ImagesSeeded, rerun: Rerun, deps: Deps) -> CommitCreated:
    """The old commit, its pipeline running again; asked for once, however often the event is delivered."""
    project_id = rerun.commit.project_id
    if not rerun.begun(await deps.gitlab.pipeline(project_id, rerun.pipeline_id)):
        await deps.gitlab.retry_pipeline(project_id, rerun.pipeline_id)
    asked = event.proposal.submission.merge_request
    project = await deps.gitlab.project(str(project_id)) if asked else None
    found = await _merge_request(event, deps, project, rerun.commit) if project else None
    return decide.created(event, rerun.commit, new=False, merge_request=found)


service = Service("committer", Settings, connect, {ImagesSeeded: commit})
