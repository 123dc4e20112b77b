"""GitLab through python-gitlab, in threads because it has no async client.

Every call has a time limit and is made once: python-gitlab's own repetition repeats POSTs too, and its waiting on 429
blocks. Its errors become Retry or Reject with GitLab's words.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import gitlab
import requests
from gitlab.exceptions import GitlabError, GitlabGetError

from shared.adapters.gitlab_errors import NOT_FOUND, TO_COMMIT, TO_READ, TO_RETRY, slow_down, translated
from shared.errors import Reject, Retry
from shared.events import Commit, Job, Pipeline
from shared.ports import Project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from shared.ports import FileChange
    from shared.settings import GitLabSettings

THREADS = 8
COMMITS_LOOKED_AT = 50
PAGE = 100
# The failure stands at the end of a trace; GitLab itself keeps up to 100 MB of it.
TRACE_BYTES = 16 * 1024 * 1024
CHUNK = 64 * 1024
WRONG_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)

T = TypeVar("T")


class GitLabClient:
    """Implements `shared.ports.GitLab`. Use `GitLabClient.connect`."""

    def __init__(self, settings: GitLabSettings, pool: ThreadPoolExecutor) -> None:
        """With the threads that the calls are made in; each has a client of its own, sessions are not shared."""
        self._settings = settings
        self._url = settings.gitlab_url
        self._pool = pool
        self._thread = threading.local()
        self._sessions: list[requests.Session] = []

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: GitLabSettings) -> AsyncIterator[GitLabClient]:
        """The client; nothing is asked of GitLab before the first call."""
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="gitlab")
        client = cls(settings, pool)
        try:
            yield client
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for session in client._sessions:
                session.close()

    async def project(self, path_or_id: str) -> Project:
        """The project by id or full path; Reject where the token sees none."""

        def read() -> Project:
            found = self._api().projects.get(path_or_id)
            return Project(found.id, found.path_with_namespace, found.default_branch, found.web_url)

        advice = "create it, name another with --project, or make the token's user a member"
        missing = f"{self._url} has no project {path_or_id} that this token sees; {advice}"
        return await self._call(read, missing=missing)

    async def files_at(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """Path → content for those of `paths` that exist at `ref`; empty where the ref does not exist."""
        found = await self._files(project_id, ref, paths)
        return {path: file.decode().decode(errors="replace") for path, file in found.items()}

    async def last_commits(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """Path → id of the last commit that changed it, for those of `paths` that exist at `ref`."""
        found = await self._files(project_id, ref, paths)
        return {path: str(file.last_commit_id) for path, file in found.items()}

    async def _files(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            files = self._project(project_id).files
            found = {}
            for path in paths:
                try:
                    found[path] = files.get(path, ref=ref)
                except GitlabGetError as error:
                    if error.response_code != NOT_FOUND:
                        raise
            return found

        return await self._call(read)

    async def find_commit(self, project: Project, branch: str, trailer: str) -> Commit | None:
        """The newest commit of the branch with this trailer line; None where branch or commit is missing."""

        def read() -> Commit | None:
            commits = self._project(project.id).commits
            try:
                newest = commits.list(ref_name=branch, per_page=COMMITS_LOOKED_AT, page=1, get_all=False)
            except GitlabError as error:
                if error.response_code == NOT_FOUND:
                    return None
                raise
            found = (one for one in newest if trailer in one.message.splitlines())
            return next((_commit(one, project, branch) for one in found), None)

        return await self._call(read)

    async def commit(
        self, project: Project, branch: str, start_branch: str | None, message: str, changes: Sequence[FileChange]
    ) -> Commit:
        """One commit with all changes; `start_branch` creates the branch. Never repeated here.

        Reject where the branch is not as the changes assume (a file is there already, or newer than `last_commit_id`).
        """
        body: dict[str, Any] = {"branch": branch, "commit_message": message}
        body["actions"] = [_action(change) for change in changes]
        if start_branch is not None:
            body["start_branch"] = start_branch

        def write() -> Commit:
            return _commit(self._project(project.id).commits.create(body), project, branch)

        return await self._call(write, needs=TO_COMMIT)

    async def pipeline_of(self, project_id: int, sha: str) -> Pipeline | None:
        """The newest pipeline of a commit with all its jobs (latest attempts); None while there is none."""

        def read() -> Pipeline | None:
            pipelines = self._project(project_id).pipelines
            found = pipelines.list(sha=sha, order_by="id", sort="desc", per_page=1, page=1, get_all=False)
            return _pipeline(pipelines.get(found[0].id)) if found else None

        return await self._call(read)

    async def pipeline(self, project_id: int, pipeline_id: int) -> Pipeline:
        """One pipeline with all its jobs (latest attempts)."""
        missing = f"the pipeline {pipeline_id} is gone from {self._url}"
        return await self._call(
            lambda: _pipeline(self._project(project_id).pipelines.get(pipeline_id)), missing=missing
        )

    async def trace(self, project_id: int, job: Job) -> bytes:
        """The trace of a job, of a very long one the end; empty where it has none, or it was erased."""

        def read() -> bytes:
            kept = bytearray()

            def keep(chunk: bytes) -> None:
                kept.extend(chunk)
                if len(kept) > 2 * TRACE_BYTES:
                    del kept[:-TRACE_BYTES]

            try:
                job_of = self._project(project_id).jobs.get(job.id, lazy=True)
                job_of.trace(streamed=True, action=keep, chunk_size=CHUNK)
            except GitlabGetError as error:
                if error.response_code != NOT_FOUND:
                    raise
            return bytes(kept[-TRACE_BYTES:])

        return await self._call(read)

    async def retry_pipeline(self, project_id: int, pipeline_id: int) -> None:
        """Run the failed jobs of a pipeline again. Never repeated here."""
        missing = f"the pipeline {pipeline_id} is gone from {self._url}; retry the run from its commit"
        await self._call(
            lambda: self._project(project_id).pipelines.get(pipeline_id, lazy=True).retry(),
            needs=TO_RETRY,
            missing=missing,
        )

    def _project(self, project_id: int) -> Any:
        return self._api().projects.get(project_id, lazy=True)

    def _api(self) -> gitlab.Gitlab:
        """The client of the thread that asks."""
        if not hasattr(self._thread, "api"):
            session = requests.Session()
            session.hooks["response"].append(slow_down)
            self._sessions.append(session)
            self._thread.api = gitlab.Gitlab(
                self._url,
                private_token=self._settings.gitlab_token.get_secret_value() or None,
                timeout=self._settings.gitlab_timeout,
                retry_transient_errors=False,
                keep_base_url=True,
                session=session,
            )
        api: gitlab.Gitlab = self._thread.api
        return api

    async def _call(self, work: Callable[[], T], *, needs: str = TO_READ, missing: str = "") -> T:
        """The work's result in a thread; its errors in greenrun's terms, `missing` for a 404."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except WRONG_ADDRESS as error:
            raise Reject(
                f"GITLAB_URL {self._url} is no address; set it to http(s)://host", evidence=str(error)
            ) from error
        except (requests.RequestException, OSError) as error:
            raise Retry(f"GitLab at {self._url} does not answer: {type(error).__name__}") from error
        except GitlabError as error:
            raise translated(error, self._url, needs=needs, missing=missing) from error


def _action(change: FileChange) -> dict[str, str]:
    action = {"action": change.action, "file_path": change.path, "content": change.content}
    # GitLab refuses the update where another commit changed the file since (Files::MultiService).
    return action | ({"last_commit_id": change.last_commit_id} if change.last_commit_id else {})


def _commit(found: Any, project: Project, branch: str) -> Commit:
    return Commit(project_id=project.id, project_path=project.path, branch=branch, sha=found.id, web_url=found.web_url)


def _pipeline(found: Any) -> Pipeline:
    # A retry in mid-listing moves jobs to the next page: the same job may come twice.
    jobs = {job.id: _job(job) for job in found.jobs.list(get_all=True, per_page=PAGE)}
    return Pipeline(
        id=found.id,
        status=found.status,
        web_url=found.web_url,
        yaml_errors=getattr(found, "yaml_errors", None),
        duration=getattr(found, "duration", None),
        jobs=tuple(jobs[key] for key in sorted(jobs)),
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
        web_url=found.web_url,
    )
