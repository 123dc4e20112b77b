"""The least of namespaces, merge requests with their comments, and hooks that greenrun uses; nothing is delivered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from sandbox.gitlab import api
from sandbox.gitlab.forge import NotFound
from sandbox.gitlab.pipelines import now

if TYPE_CHECKING:
    from sandbox.gitlab.store import Row

DRAFT = re.compile(r"\A\s*(?:\[draft\]|\(draft\)|draft:)", re.IGNORECASE)
routes = web.RouteTableDef()
project_of = api._project  # noqa: SLF001 - one API in two files
page, body_of, require = api._page, api._body, api._require  # noqa: SLF001


@routes.get("/api/v4/namespaces/{id}")
async def get_namespace(request: web.Request) -> web.Response:
    """A group by its path; its id is made from it."""
    path = unquote(request.match_info["id"])
    forge = request.app[api.FORGE]
    found = next((row for row in forge.store.list("namespace") if path in (str(row["id"]), row["full_path"])), None)
    if found is None:
        raise NotFound("Namespace")
    return web.json_response(found | {"kind": "group", "path": path.rpartition("/")[2], "name": path})


@routes.get("/api/v4/projects/{id}/merge_requests")
async def list_merge_requests(request: web.Request) -> web.Response:
    """Newest first; filters `source_branch` and `state`."""
    rows = request.app[api.FORGE].store.list("merge_request", project=project_of(request)["id"])
    wanted = {key: request.query[key] for key in ("source_branch", "state") if request.query.get(key, "all") != "all"}
    rows = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return page(request, [_shape(request, row) for row in rows])


@routes.post("/api/v4/projects/{id}/merge_requests")
async def create_merge_request(request: web.Request) -> web.Response:
    """A new one; 409 where the branch has an open one."""
    require(request, api.DEVELOPER)
    body = await body_of(request, "source_branch", "target_branch", "title")
    project, store = project_of(request), request.app[api.FORGE].store
    rows = store.list("merge_request", project=project["id"])
    for row in rows:
        if row["state"] == "opened" and row["source_branch"] == body["source_branch"]:
            words = f"Another open merge request already exists for this source branch: !{row['iid']}"
            raise api.ApiError(409, [words])
    kept = {key: body.get(key) for key in ("source_branch", "target_branch", "title", "description")}
    row = {**kept, "iid": len(rows) + 1, "state": "opened", "project_id": project["id"], "created_at": now()}
    return web.json_response(_shape(request, store.add("merge_request", row, project=project["id"])), status=201)


@routes.get("/api/v4/projects/{id}/merge_requests/{iid}")
async def get_merge_request(request: web.Request) -> web.Response:
    """One."""
    return web.json_response(_shape(request, _merge_request(request)))


@routes.put("/api/v4/projects/{id}/merge_requests/{iid}")
async def update_merge_request(request: web.Request) -> web.Response:
    """Title, description or state."""
    require(request, api.DEVELOPER)
    body, row = await body_of(request), _merge_request(request)
    changes: Row = {key: body[key] for key in ("title", "description") if key in body}
    if body.get("state_event") == "close":
        changes["state"] = "closed"
    row = request.app[api.FORGE].store.update("merge_request", row["id"], **changes)
    return web.json_response(_shape(request, row))


@routes.get("/api/v4/projects/{id}/merge_requests/{iid}/notes")
async def list_notes(request: web.Request) -> web.Response:
    """The comments."""
    of = _merge_request(request)
    rows = request.app[api.FORGE].store.list("note", project=of["project_id"])
    rows = [row for row in rows if row["noteable_id"] == of["id"]]
    return page(request, rows if request.query.get("sort") != "asc" else rows[::-1])


@routes.post("/api/v4/projects/{id}/merge_requests/{iid}/notes")
async def create_note(request: web.Request) -> web.Response:
    """A comment."""
    require(request, api.DEVELOPER)
    of, body = _merge_request(request), await body_of(request, "body")
    row = {"body": body["body"], "noteable_id": of["id"], "created_at": now(), "system": False}
    return web.json_response(request.app[api.FORGE].store.add("note", row, project=of["project_id"]), status=201)


@routes.put("/api/v4/projects/{id}/merge_requests/{iid}/notes/{note}")
async def update_note(request: web.Request) -> web.Response:
    """Another text."""
    require(request, api.DEVELOPER)
    body = await body_of(request, "body")
    row = request.app[api.FORGE].store.update("note", int(request.match_info["note"]), body=body["body"])
    return web.json_response(row)


@routes.get("/api/v4/projects/{id}/hooks")
async def list_hooks(request: web.Request) -> web.Response:
    """The hooks of a project, without their tokens."""
    require(request, api.MAINTAINER)
    rows = request.app[api.FORGE].store.list("hook", project=project_of(request)["id"])
    return page(request, [_without_token(row) for row in rows])


@routes.post("/api/v4/projects/{id}/hooks")
async def create_hook(request: web.Request) -> web.Response:
    """A new hook."""
    require(request, api.MAINTAINER)
    body, project = await body_of(request, "url"), project_of(request)
    row = request.app[api.FORGE].store.add("hook", {**body, "project_id": project["id"]}, project=project["id"])
    return web.json_response(_without_token(row), status=201)


@routes.put("/api/v4/projects/{id}/hooks/{hook}")
async def update_hook(request: web.Request) -> web.Response:
    """The hook with what was given."""
    require(request, api.MAINTAINER)
    body = await body_of(request, "url")
    row = request.app[api.FORGE].store.update("hook", int(request.match_info["hook"]), **body)
    return web.json_response(_without_token(row))


def _merge_request(request: web.Request) -> Row:
    rows = request.app[api.FORGE].store.list("merge_request", project=project_of(request)["id"])
    found = next((row for row in rows if str(row["iid"]) == request.match_info["iid"]), None)
    if found is None:
        raise NotFound("Merge Request")
    return found


def _shape(request: web.Request, row: Row) -> Row:
    path = project_of(request)["path_with_namespace"]
    url = f"{request.app[api.FORGE].base_url}/{path}/-/merge_requests/{row['iid']}"
    return {**row, "draft": bool(DRAFT.match(row["title"])), "web_url": url}


def _without_token(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "token"}
