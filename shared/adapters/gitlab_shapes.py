"""GitLab's answers as greenrun's own values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.events import Commit, Job, Pipeline
from shared.ports import Project

if TYPE_CHECKING:
    from shared.ports import FileChange


def project_of(found: Any) -> Project:
    """A project; an empty one has no default branch, whatever GitLab means it to be."""
    default = None if getattr(found, "empty_repo", False) else found.default_branch
    return Project(found.id, found.path_with_namespace, default, found.web_url)


def action_of(change: FileChange) -> dict[str, str]:
    """One action of a commit; GitLab refuses an update where another commit changed the file since.

    (Files::MultiService)
    """
    action = {"action": change.action, "file_path": change.path, "content": change.content}
    return action | ({"last_commit_id": change.last_commit_id} if change.last_commit_id else {})


def commit_of(found: Any, project: Project, branch: str) -> Commit:
    """A commit on a branch."""
    return Commit(project_id=project.id, project_path=project.path, branch=branch, sha=found.id, web_url=found.web_url)


def listed_pipeline(found: Any) -> Pipeline:
    """A pipeline as a list has it."""
    return Pipeline(id=found.id, status=found.status, web_url=found.web_url)


def pipeline_of(found: Any, jobs: list[Any]) -> Pipeline:
    """A pipeline with its jobs in the order of their ids; a retry in mid-listing may bring one twice."""
    unique = {job.id: _job(job) for job in jobs}
    return Pipeline(
        id=found.id,
        status=found.status,
        web_url=found.web_url,
        yaml_errors=getattr(found, "yaml_errors", None),
        duration=getattr(found, "duration", None),
        jobs=tuple(unique[key] for key in sorted(unique)),
    )


def _job(found: Any) -> Job:
    return Job(
        id=found.id,
        name=found.name,
        stage=found.stage,
        status=found.status,
        allow_failure=found.allow_failure,
        failure_reason=getattr(found, "failure_reason", None),
        duration=getattr(found, "duration", None),
        coverage=getattr(found, "coverage", None),
        web_url=found.web_url,
        tags=tuple(getattr(found, "tag_list", None) or ()),
    )
