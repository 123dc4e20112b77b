"""Clone and push over smart HTTP: git's own `http-backend` behind aiohttp."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from sandbox.gitlab.repository import Repository

CHUNK = 65536


async def backend(
    request: web.Request, repository: Repository, inner: str, user: str, options: str = os.devnull
) -> web.StreamResponse:
    """Run `git http-backend` for one request; `inner` is the path below the repository, e.g. `/info/refs`.

    The file `options` has the options of the push afterwards, one a line.

    It is not told of a compressed body: aiohttp has inflated it by then.
    """
    env = {
        **os.environ,
        "GIT_PROJECT_ROOT": str(repository.path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PATH_INFO": f"/{repository.path.name}{inner}",
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": user,
        "GREENRUN_PUSH_OPTIONS": options,
        "REMOTE_ADDR": request.remote or "",
    }
    process = await asyncio.create_subprocess_exec(
        "git", "http-backend", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=env
    )
    feeding = asyncio.create_task(_feed(request, process))
    try:
        return await _answer(request, process)
    finally:
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _feed(request: web.Request, process: asyncio.subprocess.Process) -> None:
    """The request's body into the backend, as it comes."""
    if process.stdin is None:
        return
    with suppress(ConnectionError):
        async for chunk in request.content.iter_chunked(CHUNK):
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _answer(request: web.Request, process: asyncio.subprocess.Process) -> web.StreamResponse:
    """CGI headers, then the body as it comes."""
    if process.stdout is None:
        raise web.HTTPInternalServerError
    status, headers = 200, {}
    while line := (await process.stdout.readline()).decode().strip():
        name, _, value = line.partition(": ")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    while chunk := await process.stdout.read(CHUNK):
        await response.write(chunk)
    await response.write_eof()
    await process.wait()
    return response
