"""The sandbox's GitLab, the real client of it, and a proxy that misbehaves on demand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from yarl import URL

from sandbox.gitlab.server import GitLabServer, serve
from shared.adapters.gitlab import GitLabClient
from shared.settings import GitLabSettings

TOKEN = "glpat-committer"
PROJECT = "shop/web"
README = {"README.md": b"# shop\n"}

Fault = Callable[[web.Request], Awaitable[web.Response | None]]


def settings(url: str, token: str = TOKEN, timeout: float = 5.0) -> GitLabSettings:
    """Settings that lead to this server."""
    return GitLabSettings(gitlab_url=url, gitlab_token=SecretStr(token), gitlab_timeout=timeout)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitLabServer]:
    """The sandbox's GitLab with one project."""
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as started:
        await started.create_project(PROJECT, files=README)
        yield started


@pytest.fixture
async def client(server: GitLabServer) -> AsyncIterator[GitLabClient]:
    """The real python-gitlab, over HTTP."""
    async with GitLabClient.connect(settings(server.url)) as connected:
        yield connected


@dataclass
class Proxy:
    """Stands before GitLab; `before` may answer instead of it, `after` instead of its answer, by method."""

    url: str = ""
    before: dict[str, Fault] = field(default_factory=dict)
    after: dict[str, Fault] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)


async def drop(request: web.Request) -> web.Response:
    """Close the connection without an answer; what is returned goes nowhere."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def listening(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The URL of a server that answers everything with this handler."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def proxy(server: GitLabServer) -> AsyncIterator[Proxy]:
    """A proxy before the server; it passes everything on until told otherwise."""
    state = Proxy()
    async with aiohttp.ClientSession() as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            state.seen.append(f"{request.method} {request.path}")
            if request.method == "POST" and body and not _asks(request):
                state.bodies.append(json.loads(body))
            answer = await _fault(state.before, request)
            if answer is not None:
                return answer
            target = server.url + request.raw_path
            headers = {k: v for k, v in request.headers.items() if k in {"PRIVATE-TOKEN", "Content-Type"}}
            async with session.request(request.method, _exact(target), data=body, headers=headers) as passed:
                content = await passed.read()
                answer = await _fault(state.after, request)
                kept = {k: v for k, v in passed.headers.items() if k == "Content-Type" or k.startswith(("X-", "Link"))}
                return answer or web.Response(status=passed.status, body=content, headers=kept)

        async with listening(handle) as url:
            state.url = url
            yield state


@pytest.fixture
async def behind(proxy: Proxy) -> AsyncIterator[GitLabClient]:
    """The real client behind the proxy."""
    async with GitLabClient.connect(settings(proxy.url)) as connected:
        yield connected


async def _fault(faults: dict[str, Fault], request: web.Request) -> web.Response | None:
    fault = None if _asks(request) else faults.get(request.method)
    return await fault(request) if fault else None


def _asks(request: web.Request) -> bool:
    """A POST that changes nothing: GitLab's lint."""
    return request.path.endswith("/ci/lint")


def _exact(url: str) -> Any:
    """The URL with its escapes as they are: a project's path has %2F in it."""
    return URL(url, encoded=True)
