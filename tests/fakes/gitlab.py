"""A GitLab in memory; it passes the contract test of the real client (tests/committer/test_gitlab_contract.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.errors import Reject, Retry
from shared.events import Commit, Job, Pipeline
from shared.ports import FileChange, Project


@dataclass
class Branch:
    """Commits (newest last, with their messages), and path → (content, id of the last commit that changed it)."""

    commits: list[tuple[Commit, str]] = field(default_factory=list)
    files: dict[str, tuple[str, str]] = field(default_factory=dict)


class FakeGitLab:
    """Implements `shared.ports.GitLab` for one project; with `down` nothing answers.

    `looks` is played one state at a look before `pipelines` is asked: a pipeline, None for none yet, or an error.
    """

    def __init__(self, path: str, files: dict[str, str] | None = None) -> None:
        """With these files on the default branch `main`."""
        self.only = Project(1, path, "main", f"http://fake/{path}")
        self.branches = {"main": Branch(files={name: (text, "0" * 40) for name, text in (files or {}).items()})}
        self.pipelines: dict[int, tuple[str, Pipeline]] = {}
        self.looks: list[Pipeline | Retry | None] = []
        self.traces: dict[int, bytes] = {}
        self.retried: list[int] = []
        self.down: Retry | None = None

    def add_pipeline(self, sha: str, pipeline: Pipeline) -> None:
        """Have this pipeline for the commit."""
        assert pipeline.id is not None
        self.pipelines[pipeline.id] = (sha, pipeline)

    async def project(self, path_or_id: str) -> Project:
        """The one project."""
        self._answer()
        if path_or_id not in (self.only.path, str(self.only.id)):
            raise Reject(f"http://fake has no project {path_or_id} that this token sees")
        return self.only

    async def files_at(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """The contents."""
        self._answer(project_id)
        files = self.branches.get(ref, Branch()).files
        return {path: files[path][0] for path in paths if path in files}

    async def last_commits(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """The ids of the last commits."""
        self._answer(project_id)
        files = self.branches.get(ref, Branch()).files
        return {path: files[path][1] for path in paths if path in files}

    async def find_commit(self, project: Project, branch: str, trailer: str) -> Commit | None:
        """The newest with this line in its message."""
        self._answer(project.id)
        commits = reversed(self.branches.get(branch, Branch()).commits)
        return next((commit for commit, message in commits if trailer in message.splitlines()), None)

    async def commit(
        self, project: Project, branch: str, start_branch: str | None, message: str, changes: Sequence[FileChange]
    ) -> Commit:
        """All changes or, in GitLab's words, none."""
        self._answer(project.id)
        if start_branch and branch in self.branches:
            raise Reject(f"A branch called '{branch}' already exists. Switch to that branch in order to make changes")
        start = self.branches.get(start_branch or branch)
        if start is None:
            raise Reject("You can only create or edit files when you are on a branch")
        for change in changes:
            _refuse(change, start.files.get(change.path))
        number = sum(len(one.commits) for one in self.branches.values())
        sha = hashlib.sha1(f"{number} {message}".encode()).hexdigest()
        commit = Commit(
            project_id=project.id, project_path=project.path, branch=branch, sha=sha, web_url=f"http://fake/{sha}"
        )
        written = {change.path: (change.content, sha) for change in changes}
        self.branches[branch] = Branch([*start.commits, (commit, message)], {**start.files, **written})
        return commit

    async def pipeline_of(self, project_id: int, sha: str) -> Pipeline | None:
        """The newest of the commit."""
        self._answer(project_id)
        if self.looks:
            return self._played()
        return next((found for of, found in reversed(self.pipelines.values()) if of == sha), None)

    async def pipeline(self, project_id: int, pipeline_id: int) -> Pipeline:
        """The one with this id."""
        self._answer(project_id)
        if self.looks and (played := self._played()):
            return played
        if pipeline_id not in self.pipelines:
            raise Reject(f"the pipeline {pipeline_id} is gone")
        return self.pipelines[pipeline_id][1]

    async def trace(self, project_id: int, job: Job) -> bytes:
        """What was put into `traces`."""
        self._answer(project_id)
        return self.traces.get(job.id, b"")

    async def retry_pipeline(self, project_id: int, pipeline_id: int) -> None:
        """New attempts of the jobs that did not succeed."""
        self._answer(project_id)
        sha, old = self.pipelines[pipeline_id]
        self.retried.append(pipeline_id)
        newest = max(job.id for job in old.jobs)
        again = [job for job in old.jobs if job.status != "success"]
        fresh = [Job(id=newest + n, name=job.name, stage=job.stage, status="created") for n, job in enumerate(again, 1)]
        done = [job for job in old.jobs if job.status == "success"]
        running = old.model_copy(update={"status": "running", "jobs": (*done, *fresh)})
        self.pipelines[pipeline_id] = (sha, running)

    def _played(self) -> Pipeline | None:
        """The next state; the last one stays."""
        state = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(state, Retry):
            raise state
        return state

    def _answer(self, project_id: int = 1) -> None:
        if self.down:
            raise self.down
        if project_id != self.only.id:
            raise Reject("404 Project Not Found")


def _refuse(change: FileChange, held: tuple[str, str] | None) -> None:
    if change.action == "create" and held:
        raise Reject("A file with this name already exists")
    if change.action == "update" and held is None:
        raise Reject("A file with this name doesn't exist")
    if held and change.last_commit_id not in (None, held[1]):
        raise Reject("You are attempting to update a file that has changed since you started editing it.")
