"""GitLab through python-gitlab, in threads because it has no async client.

Every call has a time limit and is made once: python-gitlab's own repetition repeats POSTs too, and its waiting on 429
blocks. Its errors become Retry or Reject with GitLab's words.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import gitlab
import requests
from gitlab.exceptions import GitlabAuthenticationError, GitlabError, GitlabGetError

from shared.errors import Reject, Retry
from shared.events import Commit, Job, Pipeline
from shared.ports import Project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from shared.ports import FileChange
    from shared.settings import GitLabSettings

NOT_FOUND = 404
FORBIDDEN = 403
TOO_MANY = 429
SERVER_FAULT = 500
THREADS = 8
COMMITS_LOOKED_AT = 50

T = TypeVar("T")


class GitLabClient:
    """Implements `shared.ports.GitLab`. Use `GitLabClient.connect`."""

    def __init__(self, settings: GitLabSettings, pool: ThreadPoolExecutor) -> None:
        """With the threads that the calls are made in."""
        self._url = settings.gitlab_url
        self._pool = pool
        self._api = gitlab.Gitlab(
            settings.gitlab_url,
            private_token=settings.gitlab_token.get_secret_value() or None,
            timeout=settings.gitlab_timeout,
            retry_transient_errors=False,
            keep_base_url=True,
        )

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
            client._api.session.close()

    async def project(self, path_or_id: str) -> Project:
        """The project by id or full path; Reject where the token sees none."""

        def read() -> Project:
            found = self._api.projects.get(path_or_id)
            return Project(found.id, found.path_with_namespace, found.default_branch, found.web_url)

        missing = f"{self._url} has no project {path_or_id} that this token sees; create it, or give the token access"
        return await self._call(read, missing=missing)

    async def files_at(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """Path → content for those of `paths` that exist at `ref`; empty where the ref does not exist."""

        def read() -> dict[str, str]:
            files = self._project(project_id).files
            found = {}
            for path in paths:
                try:
                    found[path] = files.get(path, ref=ref).decode().decode(errors="replace")
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
        """One commit with all changes; `start_branch` creates the branch. Never repeated here."""
        body: dict[str, Any] = {"branch": branch, "commit_message": message}
        body["actions"] = [
            {"action": change.action, "file_path": change.path, "content": change.content} for change in changes
        ]
        if start_branch is not None:
            body["start_branch"] = start_branch

        def write() -> Commit:
            return _commit(self._project(project.id).commits.create(body), project, branch)

        return await self._call(write)

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
        """The trace of a job; empty where it has none."""

        def read() -> bytes:
            trace = self._project(project_id).jobs.get(job.id, lazy=True).trace()
            return trace if isinstance(trace, bytes) else b""

        return await self._call(read)

    async def retry_pipeline(self, project_id: int, pipeline_id: int) -> None:
        """Run the failed jobs of a pipeline again."""
        await self._call(lambda: self._project(project_id).pipelines.get(pipeline_id, lazy=True).retry())

    def _project(self, project_id: int) -> Any:
        return self._api.projects.get(project_id, lazy=True)

    async def _call(self, work: Callable[[], T], *, missing: str = "") -> T:
        """The work's result in a thread; its errors in greenrun's terms, `missing` for a 404."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except (requests.RequestException, OSError) as error:
            raise Retry(f"GitLab at {self._url} does not answer: {type(error).__name__}") from error
        except GitlabError as error:
            raise self._translated(error, missing) from error

    def _translated(self, error: GitlabError, missing: str) -> Retry | Reject:
        code, words = error.response_code, str(error.error_message)
        if code == TOO_MANY:
            return Retry(f"GitLab at {self._url} asks to slow down", after=_retry_after(error))
        if code is None or code >= SERVER_FAULT:
            return Retry(f"GitLab at {self._url} answers {code or 'nothing usable'}: {words}")
        if isinstance(error, GitlabAuthenticationError):
            return Reject(f"GitLab at {self._url} does not take the token; set GITLAB_TOKEN", evidence=words)
        if code == FORBIDDEN:
            advice = "it needs the scope api and the role Developer in the project"
            return Reject(f"GitLab refuses the token: {advice}", evidence=words)
        if code == NOT_FOUND:
            return Reject(missing or f"GitLab at {self._url} does not find it", evidence=words)
        return Reject(f"GitLab refuses: {words}", evidence=words)


def _retry_after(error: GitlabError) -> float | None:
    """Seconds from the Retry-After header, which is a number or an HTTP date (RFC 9110, section 10.2.3)."""
    headers = getattr(error, "response_headers", None) or {}
    value = headers.get("Retry-After")
    if value is None:
        return None
    if str(value).isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(str(value)).timestamp() - time.time())
    except ValueError:
        return None


def _commit(found: Any, project: Project, branch: str) -> Commit:
    return Commit(project_id=project.id, project_path=project.path, branch=branch, sha=found.id, web_url=found.web_url)


def _pipeline(found: Any) -> Pipeline:
    jobs = [_job(job) for job in found.jobs.list(get_all=True)]
    return Pipeline(
        id=found.id,
        status=found.status,
        web_url=found.web_url,
        yaml_errors=found.yaml_errors,
        duration=found.duration,
        jobs=tuple(sorted(jobs, key=lambda job: job.id)),
    )


def _job(found: Any) -> Job:
    return Job(
        id=found.id,
        name=found.name,
        stage=found.stage,
        status=found.status,
        allow_failure=found.allow_failure,
        failure_reason=getattr(found, "failure_reason", None),
        duration=found.duration,
        web_url=found.web_url,
    )
