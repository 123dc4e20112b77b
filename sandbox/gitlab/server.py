"""The sandbox's GitLab as a server: REST, smart HTTP, and a readable page behind every link."""

from __future__ import annotations

import base64
import html
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.gitlab import api, api_least, shapes
from sandbox.gitlab.forge import Forge, NotFound
from sandbox.gitlab.repository import Action, Author
from sandbox.gitlab.smart_http import backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from sandbox.gitlab.store import Row

MAX_BODY = 512 * 1024 * 1024
IMPORTER = Author("Importer", "importer@example.com")
pages = web.RouteTableDef()


@dataclass(frozen=True)
class GitLabServer:
    """The running server: where it is, its data, the administrator's token."""

    url: str
    data: Path
    token: str
    forge: Forge

    async def create_project(
        self, path: str, *, files: Mapping[str, bytes] | None = None, from_dir: Path | None = None
    ) -> Row:
        """A project with these files (or those of a folder) as the first commit; its JSON. No files: it is empty."""
        row = await self.forge.add_project(path)
        if row is None:
            row = self.forge.project(path)
        contents = dict(files or {}) if from_dir is None else _read(from_dir)
        if contents:
            known = await self.forge.repository(row).branches()
            actions = [Action("create", name, content) for name, content in contents.items()]
            if not known:
                await self.forge.commit(row, row["default_branch"], None, actions, "Initial commit", IMPORTER)
        return shapes.project(row, self.url, empty=not contents)


@asynccontextmanager
async def serve(
    *, data: Path, token: str, registry: str | None = None, port: int = 0, host: str = "127.0.0.1"
) -> AsyncIterator[GitLabServer]:
    """The server, listening until the context closes; what it knows stays in `data`."""
    data.mkdir(parents=True, exist_ok=True)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[api.errors, api.authentication])
    app.add_routes(api.routes)
    app.add_routes(api_least.routes)
    app.add_routes(pages)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    # The address is part of every link, so the socket is bound before the application is built.
    sock = _bound(host, port)
    base_url = f"http://{host}:{sock.getsockname()[1]}"
    forge = Forge(data, base_url, token, registry)
    app[api.FORGE] = forge
    await runner.setup()
    try:
        await web.SockSite(runner, sock).start()
        yield GitLabServer(base_url, data, token, forge)
    finally:
        await runner.cleanup()
        await forge.close()


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


def _read(folder: Path) -> dict[str, bytes]:
    """Path → bytes of all files below a folder; caches and repositories are left out."""
    skipped = {".git", "__pycache__"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not skipped & set(path.relative_to(folder).parts)
    }


@pages.route("*", r"/{project:.+?}.git{inner:/(?:info/refs|git-upload-pack|git-receive-pack)}")
async def git_over_http(request: web.Request) -> web.StreamResponse:
    """Clone, fetch and push; public projects are read without a token."""
    forge = request.app[api.FORGE]
    user = _basic_user(request, forge)
    pushing = "git-receive-pack" in (request.match_info["inner"] + request.query_string)
    try:
        row = forge.project(request.match_info["project"])
    except NotFound:
        row = None
    if user is None and (pushing or row is None or row["visibility"] != "public"):
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="GitLab"'})
    if row is None:
        return web.Response(status=404, text="The project you were looking for could not be found.\n")
    if pushing and (user is None or user["access_level"] < api.DEVELOPER):
        return web.Response(status=403, text="You are not allowed to push code to this project.\n")
    repository = forge.repository(row)
    before = await repository.branches()
    response = await backend(request, repository, request.match_info["inner"], user["username"] if user else "")
    if pushing:
        after = await repository.branches()
        await forge.pushed(row, {name: sha for name, sha in after.items() if before.get(name) != sha})
    return response


@pages.get("/")
async def index(request: web.Request) -> web.Response:
    """All projects."""
    rows = request.app[api.FORGE].store.list("project")
    return _page("Projects", "\n".join(row["path_with_namespace"] for row in rows))


@pages.get(r"/{project:.+?}/-/pipelines/{key:\d+}")
async def pipeline_page(request: web.Request) -> web.Response:
    """A pipeline and its jobs."""
    forge = request.app[api.FORGE]
    row = forge.store.get("pipeline", int(request.match_info["key"]))
    if row is None:
        raise web.HTTPNotFound
    lines = [f"{job['stage']:12} {job['name']:20} {job['status']}" for job in reversed(forge.pipelines.jobs(row["id"]))]
    return _page(f"Pipeline {row['id']}: {row['status']}", "\n".join([row["yaml_errors"] or "", *lines]))


@pages.get(r"/{project:.+?}/-/jobs/{key:\d+}")
async def job_page(request: web.Request) -> web.Response:
    """A job and its trace."""
    store = request.app[api.FORGE].store
    row = store.get("job", int(request.match_info["key"]))
    if row is None:
        raise web.HTTPNotFound
    return _page(f"Job {row['name']}: {row['status']}", store.trace(row["id"]))


@pages.get(r"/{project:.+?}/-/commit/{sha:[0-9a-f]{40}}")
async def commit_page(request: web.Request) -> web.Response:
    """A commit with its changes."""
    forge = request.app[api.FORGE]
    repository = forge.repository(forge.project(request.match_info["project"]))
    shown = await repository.git("show", "--format=fuller", request.match_info["sha"], "--")
    return _page(f"Commit {request.match_info['sha'][:8]}", shown.decode(errors="replace"))


def _page(title: str, text: str) -> web.Response:
    title, text = html.escape(title), html.escape(text)
    page = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1><pre>{text}</pre>"
    return web.Response(text=page, content_type="text/html")


def _basic_user(request: web.Request, forge: Forge) -> Row | None:
    """The user whose token is the password; any user name, as GitLab takes it."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        _, _, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        return None
    return forge.user_of(password)
