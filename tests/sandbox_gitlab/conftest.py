"""The sandbox's GitLab with a registry, the real python-gitlab, the real git, and a receiver of hooks."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gitlab
import pytest
from aiohttp import web

from sandbox.gitlab.server import GitLabServer, serve
from sandbox.registry import serve_upstream

TOKEN = "glpat-sandbox"
IMAGE = "docker.io/library/python:3.12-slim"
PIPELINE = "stages: [a, b]\none: {stage: a, script: [echo 1]}\ntwo: {stage: b, script: [echo 2]}\n"

T = TypeVar("T")


@dataclass(frozen=True)
class Sandbox:
    """The server and how to speak to it."""

    server: GitLabServer
    registry: str

    async def client(self, work: Callable[[gitlab.Gitlab], T], token: str = TOKEN) -> T:
        """The result of some work with python-gitlab, in a thread because it blocks."""

        def run() -> T:
            with gitlab.Gitlab(self.server.url, private_token=token, timeout=10) as api:
                return work(api)

        return await asyncio.to_thread(run)

    async def pipeline(self, text: str, message: str = "ci") -> dict[str, Any]:
        """The pipeline of a commit with this file, at its end, with its jobs by name; empty where there is none."""
        path = f"ci/p{len(self.server.forge.store.list('project'))}"
        await self.server.create_project(path, files={"app.py": b"x\n"})

        def commit(api: gitlab.Gitlab) -> tuple[int, str]:
            project = api.projects.get(path)
            action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": text}
            body = {"branch": "main", "commit_message": message, "actions": [action]}
            return project.id, project.commits.create(body).id

        project_id, sha = await self.client(commit)
        return await self.ended(project_id, sha)

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Once nothing runs any more."""
        store = self.server.forge.store
        async with asyncio.timeout(20):
            while any(row["status"] in {"created", "pending", "running"} for row in store.list("pipeline")):
                await asyncio.sleep(0.02)
        yield

    async def ended(self, project_id: int, sha: str) -> dict[str, Any]:
        """The newest pipeline of a commit once it is over."""

        def read(api: gitlab.Gitlab) -> dict[str, Any]:
            project = api.projects.get(project_id, lazy=True)
            found = project.pipelines.list(sha=sha, get_all=True)
            if not found:
                return {}
            pipeline = project.pipelines.get(found[0].id)
            jobs = {job.name: job for job in pipeline.jobs.list(get_all=True)}
            return {"pipeline": pipeline, "jobs": jobs, "project": project}

        async with asyncio.timeout(20):
            while (state := await self.client(read)) and state["pipeline"].status in {"created", "pending", "running"}:
                await asyncio.sleep(0.02)
        return state


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A GitLab whose jobs pull from no registry."""
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as server:
        yield Sandbox(server, "")


@pytest.fixture
async def with_registry(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A GitLab and the registry that its jobs pull from."""
    async with (
        serve_upstream(tmp_path / "registry", [IMAGE]) as registry,
        serve(data=tmp_path / "gitlab", token=TOKEN, registry=registry.host_port) as server,
    ):
        yield Sandbox(server, registry.host_port)


async def git(where: Path, *arguments: str, fails: bool = False) -> str:
    """The output of git, in a thread because the server runs in this process."""
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    env = {**os.environ, **names, "GIT_TERMINAL_PROMPT": "0"}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments], check=False, cwd=where, capture_output=True, text=True, env=env, timeout=30
        )

    done = await asyncio.to_thread(run)
    assert (done.returncode != 0) is fails, done.stderr
    return done.stderr if fails else done.stdout


@dataclass
class Receiver:
    """Takes hooks, answers with `status`, and remembers what came."""

    url: str = ""
    status: int = 200
    got: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        """One delivery."""
        async with self.came:
            self.got.append((dict(request.headers), await request.json()))
            self.came.notify_all()
        return web.Response(status=self.status)

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until what came is enough."""
        async with asyncio.timeout(10), self.came:
            await self.came.wait_for(enough)

    def statuses(self, kind: str) -> list[str]:
        """The statuses that hooks of a kind told, in order."""
        key = {"pipeline": "status", "build": "build_status"}[kind]
        bodies = [body for _, body in self.got if body["object_kind"] == kind]
        return [(body.get("object_attributes") or body)[key] for body in bodies]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A server that hooks can be sent to."""
    state = Receiver()
    app = web.Application()
    app.router.add_post("/hook", state.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    state.url = f"http://{host}:{port}/hook"
    yield state
    await runner.cleanup()
