"""The sandbox's GitLab as a server: REST, smart HTTP, and a readable page behind every link."""

from __future__ import annotations

import base64
import socket
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.gitlab import pages, pages_code
from sandbox.gitlab.access import DEVELOPER
from sandbox.gitlab.executor import Mode, Settings
from sandbox.gitlab.forge import Forge
from sandbox.gitlab.pages_render import not_found
from sandbox.gitlab.refusals import NotFound, Unauthorized
from sandbox.gitlab.repository import NOWHERE, Action, Author
from sandbox.gitlab.rest import FORGE, MIDDLEWARES, ROUTES
from sandbox.gitlab.smart_http import backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from sandbox.gitlab.access import Caller
    from sandbox.gitlab.store import Row

MAX_BODY = 512 * 1024 * 1024
IMPORTER = Author("Importer", "importer@example.com")
git_routes = web.RouteTableDef()


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
        contents = dict(files or {}) if from_dir is None else files_of(from_dir)
        if contents:
            known = await self.forge.repository(row).branches()
            actions = [Action("create", name, content) for name, content in contents.items()]
            if not known:
                await self.forge.commit(row, row["default_branch"], None, actions, "Initial commit", IMPORTER)
        return await self.forge.shaped(self.forge.project(path))


@asynccontextmanager
async def serve(
    *,
    data: Path,
    token: str,
    registry: str | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
    url: str | None = None,
    executor: Mode = Mode.CHECK,
    passed: Sequence[str] = (),
) -> AsyncIterator[GitLabServer]:
    """The server, listening until the context closes; what it knows stays in `data`.

    `url` is what its links begin with, where others do not reach it at host and port (GitLab's external_url).
    `executor` is how jobs run; `passed` are variables of this environment that jobs of the mode `shell` may see.
    """
    data.mkdir(parents=True, exist_ok=True)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[*MIDDLEWARES, not_found])
    app.add_routes(ROUTES)
    app.add_routes(git_routes)
    app.add_routes(pages_code.routes)
    app.add_routes(pages.routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    # The address is part of every link, so the socket is bound before the application is built.
    sock = _bound(host, port)
    base_url = (url or f"http://{host}:{sock.getsockname()[1]}").rstrip("/")
    settings = Settings(registry, executor, data.resolve() / "executor", tuple(passed))
    forge = Forge(data, base_url, token, settings)
    app[FORGE] = forge
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
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def files_of(folder: Path) -> dict[str, bytes]:
    """Path → bytes of all files below a folder; caches and repositories are left out."""
    skipped = {".git", "__pycache__"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not skipped & set(path.relative_to(folder).parts)
    }


@git_routes.route("*", r"/{project:.+?}.git{inner:/(?:info/refs|git-upload-pack|git-receive-pack)}")
async def git_over_http(request: web.Request) -> web.StreamResponse:
    """Clone, fetch and push; public projects are read without a token."""
    forge = request.app[FORGE]
    who = _basic_caller(request, forge)
    pushing = "git-receive-pack" in (request.match_info["inner"] + request.query_string)
    row = _seen_project(forge, request.match_info["project"], who)
    if who is None and (pushing or row is None):
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="GitLab"'})
    if row is None:
        return web.Response(status=404, text="The project you were looking for could not be found.\n")
    if who is not None and not (who.may_use_git(push=pushing) and (not pushing or who.level_in(row) >= DEVELOPER)):
        return web.Response(status=403, text="You are not allowed to push code to this project.\n")
    repository = forge.repository(row)
    before = await repository.refs()
    name = who.user["username"] if who else ""
    with tempfile.NamedTemporaryFile("r") as options:
        response = await backend(request, repository, request.match_info["inner"], name, options.name)
        skip_ci = "ci.skip" in options.read().splitlines()
    if pushing:
        moved = _moved(before, await repository.refs())
        await forge.pushed(row, moved, who.user if who else None, skip_ci=skip_ci)
    return response


def _seen_project(forge: Forge, path: str, who: Caller | None) -> Row | None:
    try:
        row = forge.project(path)
    except NotFound:
        return None
    return row if (who.sees(row) if who else row["visibility"] == "public") else None


def _moved(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Ref → where it was and where it is, for those that a push moved."""
    names = sorted({*before, *after})
    pairs = {name: (before.get(name, NOWHERE), after.get(name, NOWHERE)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _basic_caller(request: web.Request, forge: Forge) -> Caller | None:
    """Whose token is the password; any user name, as GitLab takes it, `gitlab-ci-token` for that of a job."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        return forge.access.job_caller(password) if user == "gitlab-ci-token" else forge.access.caller(password)
    except (ValueError, Unauthorized):
        return None
