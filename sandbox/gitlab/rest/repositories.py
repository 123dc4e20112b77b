"""What lies in a repository: tree, files, branches, tags, what differs between two commits."""

from __future__ import annotations

import asyncio
import base64
import bz2
import hashlib
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.gitlab import shapes
from sandbox.gitlab.access import DEVELOPER
from sandbox.gitlab.refusals import Invalid, NotFound, Refused
from sandbox.gitlab.repository import Action, Author, GitFailed
from sandbox.gitlab.repository_diffs import diff, merge_base
from sandbox.gitlab.rest.asking import (
    FORGE,
    base_url,
    caller,
    parameters,
    part,
    project,
    repository,
    require,
    resolved,
    truth,
)
from sandbox.gitlab.rest.paging import page

if TYPE_CHECKING:
    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()
EXECUTABLE = "100755"
ARCHIVES = {"tar.gz": "tar.gz", "tgz": "tar.gz", "tar": "tar", "zip": "zip"}
ARCHIVES |= dict.fromkeys(("tar.bz2", "tbz", "tbz2", "tb2", "bz2"), "tar.bz2")
MAY_NOT_PUSH = "403 Forbidden - You are not allowed to push into this branch"


@routes.get("/api/v4/projects/{id}/repository/tree")
async def tree(request: web.Request) -> web.Response:
    """Files and folders of one level, or of all with `recursive`."""
    repo, row = repository(request), project(request)
    sha = await resolved(repo, request.query.get("ref") or row["default_branch"], "Tree")
    entries, path = await repo.entries(sha), request.query.get("path", "").strip("/")
    if path and path not in entries:
        raise NotFound("invalid revision or path")
    shown = shapes.tree(entries, path, recursive=truth(request.query.get("recursive")))
    return page(request, shown)


@routes.get("/api/v4/projects/{id}/repository/blobs/{sha}/raw")
async def raw_blob(request: web.Request) -> web.Response:
    """A blob's bytes."""
    try:
        content = await repository(request).git("cat-file", "blob", part(request, "sha"))
    except GitFailed as error:
        raise NotFound("Blob") from error
    return web.Response(body=content, content_type="text/plain")


@routes.get("/api/v4/projects/{id}/repository/archive.{format:[a-z0-9.]+}")
@routes.get("/api/v4/projects/{id}/repository/archive")
async def archive(request: web.Request) -> web.Response:
    """All files of a commit as an archive."""
    kind = ARCHIVES.get(request.match_info.get("format", "tar.gz"))
    if kind is None:
        raise NotFound("File")
    row, repo = project(request), repository(request)
    sha = await resolved(repo, request.query.get("sha") or row["default_branch"], "File")
    name = f"{row['path']}-{sha}"
    plain = kind.removesuffix(".bz2")
    content = await repo.git("archive", f"--format={plain}", f"--prefix={name}/", sha)
    if plain != kind:
        content = await asyncio.to_thread(bz2.compress, content)
    disposition = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return web.Response(body=content, content_type="application/octet-stream", headers=disposition)


@routes.get("/api/v4/projects/{id}/repository/merge_base")
async def common_ancestor(request: web.Request) -> web.Response:
    """The commit from which several refs come."""
    repo, refs = repository(request), request.query.getall("refs[]", [])
    if len(refs) < 2:  # noqa: PLR2004 - a base of fewer is none
        raise Refused("400 Bad request - Provide at least 2 refs")
    shas = [await resolved(repo, ref, "Ref") for ref in refs]
    base = await merge_base(repo, *shas)
    if base is None:
        raise NotFound("Merge Base")
    [info] = await repo.log(base, limit=1)
    return web.json_response(shapes.commit(info, project(request), base_url(request)))


@routes.get("/api/v4/projects/{id}/repository/compare")
async def compare(request: web.Request) -> web.Response:
    """The commits and changes from one ref to another, from their common ancestor on unless `straight`."""
    given = await parameters(request, "from", "to")
    row, repo = project(request), repository(request)
    old, new = await resolved(repo, given["from"], "Ref"), await resolved(repo, given["to"], "Ref")
    base = old if truth(given.get("straight")) else await merge_base(repo, old, new) or old
    infos = await repo.log(new, f"^{old}")
    commits = [shapes.commit(info, row, base_url(request)) for info in reversed(infos)]
    diffs = [shapes.diff(one) for one in await diff(repo, base, new)]
    url = f"{base_url(request)}/{row['path_with_namespace']}/-/compare/{given['from']}...{given['to']}"
    newest = commits[-1] if commits else None
    document = {"commit": newest, "commits": commits, "diffs": diffs, "compare_timeout": False}
    return web.json_response({**document, "compare_same_ref": old == new, "web_url": url})


@routes.get("/api/v4/projects/{id}/repository/files/{path}/raw")
async def raw_file(request: web.Request) -> web.Response:
    """A file's bytes."""
    found = await _file(request)
    return web.Response(body=base64.b64decode(found["content"]), content_type="text/plain", headers=_headers(found))


@routes.get("/api/v4/projects/{id}/repository/files/{path}")
async def get_file(request: web.Request) -> web.Response:
    """A file with its content in base64, and the commit that last changed it; as headers alone for HEAD."""
    found = await _file(request)
    return web.json_response(found, headers=_headers(found))


@routes.post("/api/v4/projects/{id}/repository/files/{path}")
@routes.put("/api/v4/projects/{id}/repository/files/{path}")
@routes.delete("/api/v4/projects/{id}/repository/files/{path}")
async def write_file(request: web.Request) -> web.Response:
    """One commit that creates, updates or deletes one file."""
    row, given = require(request, DEVELOPER, MAY_NOT_PUSH), await parameters(request, "branch", "commit_message")
    kind = {"POST": "create", "PUT": "update", "DELETE": "delete"}[request.method]
    if kind != "delete" and given.get("content") is None:
        raise Invalid("content is missing")
    path = part(request, "path")
    content = decoded(given)
    executable = truth(given["execute_filemode"]) if given.get("execute_filemode") is not None else None
    action = Action(kind, path, content, executable=executable, last_commit_id=given.get("last_commit_id"))
    branch, start = str(given["branch"]), given.get("start_branch")
    message, who = str(given["commit_message"]), author(request, given)
    await request.app[FORGE].commit(row, branch, start, [action], message, who, by=caller(request).user)
    if kind == "delete":
        return web.Response(status=204)
    return web.json_response({"file_path": path, "branch": branch}, status=201 if kind == "create" else 200)


def decoded(given: dict[str, Any]) -> bytes:
    """The content that came as text or in base64; Invalid where it is neither."""
    content = given.get("content") or ""
    try:
        return base64.b64decode(content, validate=True) if given.get("encoding") == "base64" else content.encode()
    except ValueError as error:
        raise Invalid("content is not valid base64") from error


def author(request: web.Request, given: dict[str, Any]) -> Author:
    """Who writes the commit: as given, else the caller."""
    user = caller(request).user
    return Author(given.get("author_name") or user["name"], given.get("author_email") or user["email"])


async def _file(request: web.Request) -> Row:
    """The file that the request names; NotFound where branch, path or file is missing."""
    repo, path = repository(request), part(request, "path")
    ref = request.query.get("ref") or "HEAD"
    sha = await resolved(repo, project(request)["default_branch"] if ref == "HEAD" else ref, "Commit")
    content, (mode, blob) = await repo.read(sha, path), (await repo.entries(sha)).get(path, ("", ""))
    if content is None:
        raise NotFound("File")
    return {
        "file_name": path.rpartition("/")[2],
        "file_path": path,
        "size": len(content),
        "encoding": "base64",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "ref": ref,
        "blob_id": blob,
        "commit_id": sha,
        "last_commit_id": await repo.last_commit(sha, path),
        "execute_filemode": mode == EXECUTABLE,
        "content": base64.b64encode(content).decode(),
    }


def _headers(found: Row) -> dict[str, str]:
    """What GitLab says of a file in headers: `X-Gitlab-File-Path`, `X-Gitlab-Last-Commit-Id`."""
    named = {key: str(value) for key, value in found.items() if key != "content"}
    return {f"X-Gitlab-{key.title().replace('_', '-')}": _safe(value) for key, value in named.items()}


def _safe(value: str) -> str:
    return value.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ")
