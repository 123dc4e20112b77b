"""Registries that answer in ways a real one cannot be made to on demand."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import BasicAuth, ClientSession, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MANIFEST = b'{"schemaVersion":2,"layers":[{"size":7},{"size":5}]}'


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """One handler for every path, on a free port of loopback; its host:port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            await web.SockSite(runner, listener, ssl_context=tls).start()
            yield f"127.0.0.1:{listener.getsockname()[1]}"
            await runner.cleanup()
    finally:
        await runner.cleanup()


def answering(status: int, code: str, message: str, **headers: str) -> Handler:
    """The same error to everything."""

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/v2/":
            return web.json_response({})
        body = {"errors": [{"code": code, "message": message}]}
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=fields)

    return handler


class TokenRegistry:
    """A registry with a token server: `open/*` for everybody, the rest for the user `u` with password `p`."""

    def __init__(self) -> None:
        self.tokens = 0
        self.gone: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        """Both halves in one."""
        return self._token(request) if request.path == "/token" else self._manifest(request)

    def expire(self) -> None:
        """No token that was issued until now is good any more."""
        self.gone = {f"t{n}-{kind}" for n in range(self.tokens + 1) for kind in ("open", "user")}

    def _token(self, request: web.Request) -> web.Response:
        header = request.headers.get("Authorization", "")
        user = BasicAuth.decode(header) if header else None
        if user and user.password != "p":
            return web.json_response({"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}, status=401)
        assert request.query["service"] == "lab"
        self.tokens += 1
        return web.json_response({"token": f"t{self.tokens}-{'user' if user else 'open'}"})

    def _manifest(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        repository = request.path.removeprefix("/v2/").partition("/manifests")[0].partition("/blobs")[0]
        allowed = token.endswith("user") or (token.endswith("open") and repository.startswith("open/"))
        if token in self.gone or not allowed:
            realm = f'Bearer realm="http://{request.host}/token",service="lab",scope="repository:{repository}:pull"'
            body = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
            return web.json_response(body, status=401, headers={"WWW-Authenticate": realm})
        return web.Response(body=MANIFEST, content_type="application/vnd.oci.image.manifest.v1+json")


class TokenGate(TokenRegistry):
    """The same in front of a real registry, which is read through it."""

    def __init__(self, behind: str) -> None:
        super().__init__()
        self.behind = behind

    async def answer(self, request: web.Request) -> web.Response:
        """A token, a challenge, or what the registry behind says."""
        refused = await super().answer(request)
        if request.path == "/token" or refused.status == 401:
            return refused
        accept = {name: value for name, value in request.headers.items() if name == "Accept"}
        async with (
            ClientSession(f"http://{self.behind}") as session,
            session.request(request.method, request.path_qs, headers=accept) as answer,
        ):
            kept = {n: v for n, v in answer.headers.items() if n in ("Content-Type", "Docker-Content-Digest")}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


def breaking(behind: str) -> Handler:
    """A cache before a real registry: it knows every image, and ends in the middle of each blob."""

    async def handler(request: web.Request) -> web.StreamResponse:
        accept = {name: value for name, value in request.headers.items() if name == "Accept"}
        async with (
            ClientSession(f"http://{behind}") as session,
            session.request(request.method, request.path_qs, headers=accept) as answer,
        ):
            kept = {n: v for n, v in answer.headers.items() if n in ("Content-Type", "Docker-Content-Digest")}
            body = await answer.read()
            if "/blobs/" not in request.path:
                return web.Response(status=answer.status, body=body, headers=kept)
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    return handler


async def hanging(_request: web.Request) -> web.Response:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError
