"""A GitLab in memory; it passes the contract test of the real client (tests/committer/test_gitlab_contract.py)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.errors import Reject, Retry
from shared.events import Commit, Job, MergeRequest, Pipeline
from shared.ports import FileChange, Message, Note, Project


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
        self.shown: Pipeline | None = None
        self.asked = asyncio.Event()
        self.traces: dict[int, bytes] = {}
        self.retried: list[int] = []
        self.down: Retry | None = None
        self.complaints: tuple[str, ...] = ()
        self.made: list[str] = []

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

    async def find_project(self, path_or_id: str) -> Project | None:
        """The one project, or None."""
        self._answer()
        return self.only if path_or_id in (self.only.path, str(self.only.id)) else None

    async def create_project(self, path: str) -> Project:
        """The one project is this one from now on, and empty."""
        self._answer()
        self.made.append(path)
        self.only = Project(1, path, None, f"http://fake/{path}")
        self.branches.clear()
        return self.only

    async def lint(self, project_id: int, pipeline: str) -> tuple[str, ...]:
        """What was put into `complaints`."""
        self._answer(project_id)
        assert pipeline
        return self.complaints

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

    async def find_commit(self, project: Project, branch: str, trailer: str, since: datetime) -> Commit | None:
        """The newest with this line in its message."""
        self._answer(project.id)
        assert since.tzinfo
        commits = reversed(self.branches.get(branch, Branch()).commits)
        return next((commit for commit, message in commits if trailer in message.splitlines()), None)

    async def commit(
        self, project: Project, branch: str, start_branch: str | None, message: Message, changes: Sequence[FileChange]
    ) -> Commit:
        """All changes or, in GitLab's words, none."""
        self._answer(project.id)
        if start_branch and branch in self.branches:
            raise Reject(f"A branch called '{branch}' already exists. Switch to that branch in order to make changes")
        start = self.branches.get(start_branch or branch)
        if start is None and not self.branches:
            start = Branch()
        if start is None:
            raise Reject("You can only create or edit files when you are on a branch")
        for change in changes:
            _refuse(change, start.files.get(change.path))
        number = sum(len(one.commits) for one in self.branches.values())
        sha = hashlib.sha1(f"{number} {message.text}".encode()).hexdigest()
        commit = Commit(
            project_id=project.id, project_path=project.path, branch=branch, sha=sha, web_url=f"http://fake/{sha}"
        )
        written = {change.path: (change.content, sha) for change in changes}
        self.branches[branch] = Branch([*start.commits, (commit, message.text)], {**start.files, **written})
        return commit

    async def pipelines_of(
        self, project_id: int, shas: Collection[str], since: datetime
    ) -> dict[str, tuple[Pipeline, ...]]:
        """Those of the commits, newest first; played states are of every commit."""
        self._answer(project_id)
        assert since.tzinfo
        self.asked.set()
        if self.looks:
            self.shown = self._played()
            return {sha: (_listed(self.shown),) for sha in shas} if self.shown else {}
        found: dict[str, tuple[Pipeline, ...]] = {}
        for sha, pipeline in reversed(self.pipelines.values()):
            if sha in shas:
                found[sha] = (*found.get(sha, ()), _listed(pipeline))
        return found

    async def pipeline(self, project_id: int, pipeline_id: int) -> Pipeline:
        """The one with this id."""
        self._answer(project_id)
        shown, self.shown = self.shown, None
        if self.looks and (played := shown or self._played()):
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


class FakeMergeRequests:
    """Implements `shared.ports.MergeRequests`; `no` is raised by every call that changes something."""

    def __init__(self) -> None:
        """There are none."""
        self.opened: list[tuple[str, str, str]] = []
        self.notes: dict[int, list[str]] = {}
        self.ready: list[int] = []
        self.no: Reject | None = None

    async def find(self, project: Project, branch: str, mark: str) -> MergeRequest | None:
        """By its mark, else by its branch."""
        assert project.default_branch
        ours = [iid for iid, (source, *_) in enumerate(self.opened, 1) if source == branch]
        marked = [iid for iid in ours if mark in self.opened[iid - 1][2]]
        return next(map(self._shown, [*marked, *ours]), None)

    async def open(self, project: Project, branch: str, title: str, description: str) -> MergeRequest:
        """One more."""
        self._refuse()
        assert project.default_branch
        if any(source == branch for source, *_ in self.opened):
            raise Retry("a merge request of this branch was opened meanwhile")
        self.opened.append((branch, title, description))
        return self._shown(len(self.opened))

    def _shown(self, iid: int) -> MergeRequest:
        return MergeRequest(iid=iid, web_url=f"http://fake/mr/{iid}", draft=iid not in self.ready)

    async def note(self, _project_id: int, iid: int, mark: str) -> Note | None:
        """The first with the mark."""
        found = ((n, body) for n, body in enumerate(self.notes.get(iid, [])) if mark in body)
        return next((Note(n, body) for n, body in found), None)

    async def write_note(self, _project_id: int, iid: int, body: str, replaces: Note | None) -> None:
        """Added or replaced."""
        self._refuse()
        notes = self.notes.setdefault(iid, [])
        if replaces is None:
            notes.append(body)
        else:
            notes[replaces.id] = body

    async def mark_ready(self, _project_id: int, iid: int) -> None:
        """Remembered."""
        self._refuse()
        self.ready.append(iid)

    def _refuse(self) -> None:
        if self.no:
            raise self.no


def _listed(pipeline: Pipeline) -> Pipeline:
    """As a list has it."""
    return pipeline.model_copy(update={"jobs": (), "yaml_errors": None, "duration": None})


def _refuse(change: FileChange, held: tuple[str, str] | None) -> None:
    if change.action == "create" and held:
        raise Reject("A file with this name already exists")
    if change.action == "update" and held is None:
        raise Reject("A file with this name doesn't exist")
    if held and change.last_commit_id not in (None, held[1]):
        raise Reject("You are attempting to update a file that has changed since you started editing it.")
