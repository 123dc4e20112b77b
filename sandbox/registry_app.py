"""A small OCI registry for machines without Debian's: enough of the distribution specification to push and pull."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.registry_store import DigestMismatchError, Store
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MANIFEST_LIMIT = 4 * 1024 * 1024  # the specification's least that a registry should take
STORE: web.AppKey[Store] = web.AppKey("store", Store)
NAME = r"{name:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*}"


@asynccontextmanager
async def serve(data: Path, host: str, port: int) -> AsyncIterator[str]:
    """Its host:port; GreenrunError where the port is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise GreenrunError(f"the registry cannot listen on {host}:{port}: {error.strerror}") from error
        runner = web.AppRunner(application(Store(data)), access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield f"{host}:{listener.getsockname()[1]}"
        finally:
            await runner.cleanup()


def application(store: Store) -> web.Application:
    """The routes of the distribution specification over one store."""
    app = web.Application(client_max_size=MANIFEST_LIMIT)
    app[STORE] = store
    app.add_routes(
        [
            web.get("/v2/", _version),
            web.get("/v2/_catalog", _catalog),
            web.get(f"/v2/{NAME}/tags/list", _tags),
            web.get(f"/v2/{NAME}/manifests/{{reference}}", _get_manifest),
            web.put(f"/v2/{NAME}/manifests/{{reference}}", _put_manifest),
            web.post(f"/v2/{NAME}/blobs/uploads/", _begin_upload),
            web.get(f"/v2/{NAME}/blobs/uploads/{{upload}}", _upload_status),
            web.patch(f"/v2/{NAME}/blobs/uploads/{{upload}}", _append),
            web.put(f"/v2/{NAME}/blobs/uploads/{{upload}}", _finish_upload),
            web.get(f"/v2/{NAME}/blobs/{{digest}}", _get_blob),
        ]
    )
    return app


async def _version(_request: web.Request) -> web.Response:
    return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})


async def _catalog(request: web.Request) -> web.Response:
    return _page(request, "repositories", request.app[STORE].repositories(), {})


async def _tags(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    tags = request.app[STORE].tags(name)
    if tags is None:
        return _error(404, "NAME_UNKNOWN", "repository name not known to registry")
    return _page(request, "tags", tags, {"name": name})


async def _get_manifest(request: web.Request) -> web.Response:
    stored = request.app[STORE].manifest(request.match_info["name"], request.match_info["reference"])
    if stored is None:
        return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
    headers = {"Docker-Content-Digest": stored.digest, "Content-Type": stored.media_type}
    return web.Response(body=stored.content, headers=headers)


async def _put_manifest(request: web.Request) -> web.Response:
    name, reference = request.match_info["name"], request.match_info["reference"]
    try:
        digest = request.app[STORE].put_manifest(name, reference, request.content_type, await request.read())
    except DigestMismatchError as error:
        return _error(400, "DIGEST_INVALID", str(error))
    except LookupError as error:
        return _error(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {error}")
    except (ValueError, TypeError, AttributeError):
        return _error(400, "MANIFEST_INVALID", "manifest invalid")
    place = f"/v2/{name}/manifests/{digest}"
    return web.Response(status=201, headers={"Location": place, "Docker-Content-Digest": digest})


async def _begin_upload(request: web.Request) -> web.Response:
    """Mount from another repository where asked and possible, take a whole blob, or open an upload."""
    store, name = request.app[STORE], request.match_info["name"]
    mount, digest = request.query.get("mount"), request.query.get("digest")
    if mount and store.mount(name, mount, request.query.get("from", "")):
        return _blob_created(name, mount)
    upload = store.begin()
    if digest:
        return await _receive(request, upload, digest)
    return _accepted(name, upload, 0)


async def _upload_status(request: web.Request) -> web.Response:
    path = request.app[STORE].upload(request.match_info["upload"])
    if path is None:
        return _error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    return _accepted(request.match_info["name"], path.name, path.stat().st_size, status=204)


async def _append(request: web.Request) -> web.Response:
    """Take one chunk; one that does not begin where the last ended is refused (416)."""
    name, upload = request.match_info["name"], request.match_info["upload"]
    path = request.app[STORE].upload(upload)
    if path is None:
        return _error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    start = request.headers.get("Content-Range", "").partition("-")[0]
    if start.isdigit() and int(start) != path.stat().st_size:
        return _accepted(name, upload, path.stat().st_size, status=416)
    await _store_body(request, path)
    return _accepted(name, upload, path.stat().st_size)


async def _finish_upload(request: web.Request) -> web.Response:
    return await _receive(request, request.match_info["upload"], request.query.get("digest", ""))


async def _receive(request: web.Request, upload: str, digest: str) -> web.Response:
    """The last (or only) bytes of an upload, checked against the digest."""
    store, name = request.app[STORE], request.match_info["name"]
    path = store.upload(upload)
    if path is None:
        return _error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    await _store_body(request, path)
    try:
        store.finish(path, name, digest)
    except DigestMismatchError as error:
        return _error(400, "DIGEST_INVALID", str(error))
    return _blob_created(name, digest)


async def _get_blob(request: web.Request) -> web.StreamResponse:
    digest = request.match_info["digest"]
    path = request.app[STORE].blob(request.match_info["name"], digest)
    if path is None:
        return _error(404, "BLOB_UNKNOWN", "blob unknown to registry")
    headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
    return web.FileResponse(path, headers=headers)


async def _store_body(request: web.Request, path: Path) -> None:
    with path.open("ab") as file:
        async for chunk in request.content.iter_chunked(1 << 16):
            file.write(chunk)


def _page(request: web.Request, key: str, names: list[str], rest: dict[str, str]) -> web.Response:
    """At most `n` names after `last`, with a Link to the next page where there is one."""
    after = [name for name in names if name > request.query.get("last", "")]
    limit = request.query.get("n", "")
    shown = after[: int(limit)] if limit.isdigit() else after
    headers = {}
    if shown and len(shown) < len(after):
        following = request.rel_url.update_query(last=shown[-1])
        headers["Link"] = f'<{following}>; rel="next"'
    return web.json_response({**rest, key: shown}, headers=headers)


def _accepted(name: str, upload: str, size: int, *, status: int = 202) -> web.Response:
    place, received = f"/v2/{name}/blobs/uploads/{upload}", f"0-{max(size - 1, 0)}"
    return web.Response(status=status, headers={"Location": place, "Docker-Upload-UUID": upload, "Range": received})


def _blob_created(name: str, digest: str) -> web.Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)


def _error(status: int, code: str, message: str) -> web.Response:
    """An error in the specification's form."""
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status)
