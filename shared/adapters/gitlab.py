"""GitLab through python-gitlab, in threads because it has no async client.

Every call has a time limit and is made once: python-gitlab's own repetition repeats POSTs too, and its waiting on 429
blocks. Its errors become Retry or Reject with GitLab's words.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import gitlab
import requests
from gitlab.exceptions import GitlabError, GitlabGetError

from shared.adapters.gitlab_errors import (
    FORBIDDEN,
    NOT_FOUND,
    TO_COMMIT,
    TO_CREATE,
    TO_READ,
    TO_RETRY,
    slow_down,
    translated,
)
from shared.adapters.gitlab_shapes import action_of, commit_of, listed_pipeline, pipeline_of, project_of
from shared.errors import Reject, Retry
from shared.events import AUTHOR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence
    from datetime import datetime

    from shared.events import Commit, Job, Pipeline
    from shared.ports import FileChange, Message, Project
    from shared.settings import GitLabSettings

THREADS = 8
PAGE = 100
FEW = 10
# What is read of a list that others make longer while it is read.
COMMITS_LOOKED_AT = 1000
PIPELINES_LOOKED_AT = 1000
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
        advice = "create it (--create-project), name another with --project, or make the token's user a member"
        missing = f"{self._url} has no project {path_or_id} that this token sees; {advice}"
        return await self.call(lambda api: project_of(api.projects.get(path_or_id)), missing=missing)

    async def find_project(self, path_or_id: str) -> Project | None:
        """The project by id or full path; None where the token sees none."""

        def read(api: gitlab.Gitlab) -> Project | None:
            found = _unless_missing(lambda: api.projects.get(path_or_id))
            return None if found is None else project_of(found)

        return await self.call(read)

    async def create_project(self, path: str) -> Project:
        """A new, private, empty project, or the one that has this path already.

        Reject where the namespace is not there or the token may not create projects in it. Never repeated here.
        """
        namespace, _, name = path.strip("/").rpartition("/")
        missing = f"{self._url} has no group or user {namespace} that this token sees; create the group first"
        owner = await self.call(lambda api: api.namespaces.get(namespace).id, missing=missing)
        body = {"name": name, "path": name, "namespace_id": owner, "visibility": "private"}
        try:
            return await self.call(lambda api: project_of(api.projects.create(body)), needs=TO_CREATE)
        except (Retry, Reject):
            # The answer may have been lost, or a rival was first: the path is then taken.
            found = await self.find_project(path)
            if found is None:
                raise
            return found

    async def lint(self, project_id: int, pipeline: str) -> tuple[str, ...]:
        """What GitLab's own lint says against a pipeline file; empty where it takes it, or the token may not ask."""

        def ask(api: gitlab.Gitlab) -> tuple[str, ...]:
            try:
                answer = _lazy(api, project_id).ci_lint.create({"content": pipeline})
            except GitlabError as error:
                if error.response_code in (FORBIDDEN, NOT_FOUND):
                    return ()
                raise
            return () if answer.valid else tuple(map(str, answer.errors)) or ("no reason was given",)

        return await self.call(ask)

    async def files_at(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """Path → content for those of `paths` that exist at `ref`; empty where the ref does not exist."""
        found = await self._files(project_id, ref, paths)
        return {path: file.decode().decode(errors="replace") for path, file in found.items()}

    async def last_commits(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """Path → id of the last commit that changed it, for those of `paths` that exist at `ref`."""
        found = await self._files(project_id, ref, paths)
        return {path: str(file.last_commit_id) for path, file in found.items()}

    async def _files(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, Any]:
        def read(api: gitlab.Gitlab) -> dict[str, Any]:
            files = _lazy(api, project_id).files
            found = {path: _unless_missing(partial(files.get, path, ref=ref)) for path in paths}
            return {path: file for path, file in found.items() if file is not None}

        return await self.call(read)

    async def find_commit(self, project: Project, branch: str, trailer: str, since: datetime) -> Commit | None:
        """The newest commit of the branch since then with this trailer line; None where branch or commit is missing."""
        wanted = {"ref_name": branch, "since": since.isoformat(), "per_page": PAGE, "iterator": True}

        def read(api: gitlab.Gitlab) -> Commit | None:
            try:
                commits = islice(_lazy(api, project.id).commits.list(**wanted), COMMITS_LOOKED_AT)
                found = (one for one in commits if trailer in one.message.splitlines())
                return next((commit_of(one, project, branch) for one in found), None)
            except GitlabError as error:
                if error.response_code == NOT_FOUND:
                    return None
                raise

        return await self.call(read)

    async def commit(
        self, project: Project, branch: str, start_branch: str | None, message: Message, changes: Sequence[FileChange]
    ) -> Commit:
        """One commit with all changes; `start_branch` creates the branch. Never repeated here.

        Reject where the branch is not as the changes assume (a file is there already, or newer than `last_commit_id`).
        """
        body: dict[str, Any] = {"branch": branch, "commit_message": message.text}
        body["actions"] = [action_of(change) for change in changes]
        if start_branch is not None:
            body["start_branch"] = start_branch
        if message.author and (author := AUTHOR.fullmatch(message.author)):
            body |= {"author_name": author[1], "author_email": author[2]}

        def write(api: gitlab.Gitlab) -> Commit:
            return commit_of(_lazy(api, project.id).commits.create(body), project, branch)

        return await self.call(write, needs=TO_COMMIT)

    async def pipelines_of(
        self, project_id: int, shas: Collection[str], since: datetime
    ) -> dict[str, tuple[Pipeline, ...]]:
        """Commit → its pipelines, newest first, without jobs and YAML errors; commits that have none are left out.

        One request for one commit, and for many as many as a list of all that were updated since then has pages.
        """
        wanted: dict[str, Any] = {"order_by": "id", "sort": "desc"}
        if len(shas) == 1:
            wanted |= {"sha": next(iter(shas)), "per_page": FEW, "get_all": False}
        else:
            wanted |= {"updated_after": since.isoformat(), "per_page": PAGE, "iterator": True}

        def read(api: gitlab.Gitlab) -> dict[str, tuple[Pipeline, ...]]:
            found: dict[str, tuple[Pipeline, ...]] = {}
            for one in islice(_lazy(api, project_id).pipelines.list(**wanted), PIPELINES_LOOKED_AT):
                if one.sha in shas:
                    found[one.sha] = (*found.get(one.sha, ()), listed_pipeline(one))
            return found

        return await self.call(read)

    async def pipeline(self, project_id: int, pipeline_id: int) -> Pipeline:
        """One pipeline with all its jobs (latest attempts)."""
        missing = f"the pipeline {pipeline_id} is gone from {self._url}"

        def read(api: gitlab.Gitlab) -> Pipeline:
            found = _lazy(api, project_id).pipelines.get(pipeline_id)
            return pipeline_of(found, found.jobs.list(get_all=True, per_page=PAGE))

        return await self.call(read, missing=missing)

    async def trace(self, project_id: int, job: Job) -> bytes:
        """The trace of a job, of a very long one the end; empty where it has none, or it was erased."""

        def read(api: gitlab.Gitlab) -> bytes:
            kept = bytearray()

            def keep(chunk: bytes) -> None:
                kept.extend(chunk)
                if len(kept) > 2 * TRACE_BYTES:
                    del kept[:-TRACE_BYTES]

            try:
                job_of = _lazy(api, project_id).jobs.get(job.id, lazy=True)
                job_of.trace(streamed=True, action=keep, chunk_size=CHUNK)
            except GitlabGetError as error:
                if error.response_code != NOT_FOUND:
                    raise
            return bytes(kept[-TRACE_BYTES:])

        return await self.call(read)

    async def retry_pipeline(self, project_id: int, pipeline_id: int) -> None:
        """Run the failed jobs of a pipeline again. Never repeated here."""
        missing = f"the pipeline {pipeline_id} is gone from {self._url}; retry the run from its commit"
        await self.call(
            lambda api: _lazy(api, project_id).pipelines.get(pipeline_id, lazy=True).retry(),
            needs=TO_RETRY,
            missing=missing,
        )

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

    async def call(self, work: Callable[[gitlab.Gitlab], T], *, needs: str = TO_READ, missing: str = "") -> T:
        """What the work returns, done in a thread with that thread's client; its errors in greenrun's terms.

        `needs` is what the token must have, `missing` the sentence for a 404. For the adapters beside this one.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(self._api()))
        except WRONG_ADDRESS as error:
            raise Reject(
                f"GITLAB_URL {self._url} is no address; set it to http(s)://host", evidence=str(error)
            ) from error
        except (requests.RequestException, OSError) as error:
            raise Retry(f"GitLab at {self._url} does not answer: {type(error).__name__}") from error
        except GitlabError as error:
            raise translated(error, self._url, needs=needs, missing=missing) from error


def _lazy(api: gitlab.Gitlab, project_id: int) -> Any:
    """The project without asking for it."""
    return api.projects.get(project_id, lazy=True)


def _unless_missing(read: Callable[[], Any]) -> Any:
    """What is read; None where GitLab has none."""
    try:
        return read()
    except GitlabGetError as error:
        if error.response_code != NOT_FOUND:
            raise
    return None
