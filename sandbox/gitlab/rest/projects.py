"""Who asks, namespaces, projects and their variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.gitlab import shapes, shapes_ci
from sandbox.gitlab.access import DEVELOPER, MAINTAINER, OWNER, REPORTER
from sandbox.gitlab.refusals import Forbidden, Invalid, NotFound, Refused
from sandbox.gitlab.repository import Action, Author
from sandbox.gitlab.rest.asking import CALLER, FORGE, base_url, caller, parameters, part, project, require, truth
from sandbox.gitlab.rest.paging import page, paged, window
from sandbox.gitlab.variables import CHANGEABLE, checked

if TYPE_CHECKING:
    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()
EDITABLE = ("name", "description", "default_branch", "visibility", "ci_config_path")
VERSION = {"version": "18.2.0-sandbox", "revision": "greenrun", "kas": {"enabled": False}, "enterprise": False}


@routes.get("/api/v4/version")
@routes.get("/api/v4/metadata")
async def version(request: web.Request) -> web.Response:
    """The version, which says what this is."""
    caller(request)
    return web.json_response(VERSION)


@routes.get("/api/v4/user")
async def user(request: web.Request) -> web.Response:
    """Whose token it is."""
    return web.json_response(shapes.own_user(caller(request).user, base_url(request)))


@routes.get("/api/v4/namespaces")
async def namespaces(request: web.Request) -> web.Response:
    """All namespaces; `search` in the path."""
    caller(request)
    search = request.query.get("search", "").lower()
    rows = [row for row in request.app[FORGE].store.list("namespace") if search in row["full_path"].lower()]
    return page(request, rows, lambda row: shapes.namespace(row, base_url(request)))


@routes.get("/api/v4/namespaces/{id}")
async def namespace(request: web.Request) -> web.Response:
    """By id or path."""
    return web.json_response(shapes.namespace(_namespace(request, "Namespace"), base_url(request)))


@routes.get("/api/v4/groups")
async def groups(request: web.Request) -> web.Response:
    """All groups; `search` in the path."""
    caller(request)
    search = request.query.get("search", "").lower()
    rows = [row for row in request.app[FORGE].store.list("namespace") if row["kind"] == "group"]
    rows = [row for row in rows if search in row["full_path"].lower()]
    return page(request, rows, lambda row: shapes.group(row, base_url(request)))


@routes.post("/api/v4/groups")
async def create_group(request: web.Request) -> web.Response:
    """A new group; within another with `parent_id`."""
    who, given = caller(request), await parameters(request, "name", "path")
    if who.level < MAINTAINER or who.project is not None:
        raise Forbidden
    forge = request.app[FORGE]
    parent = forge.store.get("namespace", int(given["parent_id"])) if given.get("parent_id") else None
    full = f"{parent['full_path']}/{given['path']}" if parent else str(given["path"])
    if forge.store.find("namespace", "full_path", full) is not None:
        raise Refused('Failed to save group {:path=>["has already been taken"]}')
    return web.json_response(shapes.group(forge.namespace(full), base_url(request)), status=201)


@routes.get("/api/v4/groups/{id}")
async def group(request: web.Request) -> web.Response:
    """By id or path."""
    row = _namespace(request, "Group")
    if row["kind"] != "group":
        raise NotFound("Group")
    return web.json_response(shapes.group(row, base_url(request)))


def _namespace(request: web.Request, name: str) -> Row:
    caller(request)
    given, store = part(request, "id"), request.app[FORGE].store
    row = store.get("namespace", int(given)) if given.isdecimal() else store.find("namespace", "full_path", given)
    if row is None:
        raise NotFound(name)
    return row


@routes.get("/api/v4/projects")
async def list_projects(request: web.Request) -> web.Response:
    """The projects that the caller sees, newest first; `search` in name and path, `visibility`, `owned`, `sort`."""
    forge, who = request.app[FORGE], request.get(CALLER)
    wanted = request.query
    rows = forge.store.list("project")
    rows = [row for row in rows if (who.sees(row) if who else row["visibility"] == "public")]
    if search := wanted.get("search", "").lower():
        key = "path_with_namespace" if truth(wanted.get("search_namespaces")) or "/" in search else "path"
        rows = [row for row in rows if search in f"{row[key]} {row.get('name') or ''}".lower()]
    if visibility := wanted.get("visibility"):
        rows = [row for row in rows if row["visibility"] == visibility]
    if who and (truth(wanted.get("owned")) or truth(wanted.get("membership"))):
        rows = [row for row in rows if who.level_in(row) >= (OWNER if truth(wanted.get("owned")) else 1)]
    key = {"name": "name", "path": "path"}.get(wanted.get("order_by", ""), "id")
    rows.sort(key=lambda row: row.get(key) or "", reverse=wanted.get("sort", "desc") == "desc")
    return paged(request, [await _shape(request, row) for row in window(request, rows)], len(rows))


async def _shape(request: web.Request, row: Row) -> Row:
    level = request[CALLER].level_in(row) if CALLER in request else None
    return await request.app[FORGE].shaped(row, level=level)


@routes.post("/api/v4/projects")
async def create_project(request: web.Request) -> web.Response:
    """A new project, empty unless `initialize_with_readme`."""
    who, given = caller(request), await parameters(request)
    if not given.get("name") and not given.get("path"):
        raise Invalid("name, path are missing, at least one parameter must be provided")
    if who.level < DEVELOPER or who.project is not None:
        raise Forbidden
    within = _target_namespace(request, given)
    path = str(given.get("path") or _slug(str(given["name"])))
    forge = request.app[FORGE]
    settings: dict[str, Any] = {key: given[key] for key in ("name", "description", "visibility") if given.get(key)}
    if given.get("default_branch"):
        settings["default_branch"] = given["default_branch"]
    row = await forge.add_project(f"{within}/{path}", **settings)
    if row is None:
        taken = ["has already been taken"]
        raise Refused({"project_namespace.name": taken, "name": taken, "path": taken})
    if truth(given.get("initialize_with_readme")):
        author = Author(who.user["name"], who.user["email"])
        readme = Action("create", "README.md", f"# {row['name']}\n".encode())
        await forge.commit(row, row["default_branch"], None, [readme], "Initial commit", author, by=who.user)
    return web.json_response(await _shape(request, row), status=201)


def _target_namespace(request: web.Request, given: dict[str, Any]) -> str:
    """The namespace that was asked for, else the caller's own."""
    wanted = given.get("namespace_id")
    forge = request.app[FORGE]
    if wanted is None:
        return str(forge.namespace(caller(request).user["username"], kind="user")["full_path"])
    row = forge.store.get("namespace", int(wanted)) if str(wanted).isdecimal() else None
    row = row or forge.store.find("namespace", "full_path", str(wanted))
    if row is None:
        raise Refused({"namespace": ["is not valid"], "limit_reached": []})
    return str(row["full_path"])


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name.strip()).strip("-").lower() or name


@routes.get("/api/v4/projects/{id}")
async def get_project(request: web.Request) -> web.Response:
    """By id or encoded path."""
    return web.json_response(await _shape(request, project(request)))


@routes.put("/api/v4/projects/{id}")
async def update_project(request: web.Request) -> web.Response:
    """Change what can be changed here: name, description, default branch, visibility."""
    row, given = require(request, MAINTAINER), await parameters(request)
    changes = {key: given[key] for key in EDITABLE if key in given}
    forge = request.app[FORGE]
    if "default_branch" in changes:
        if changes["default_branch"] not in await forge.repository(row).branches():
            raise Refused(
                {"base": ["Could not change HEAD: branch '" + changes["default_branch"] + "' does not exist"]}
            )
        await forge.repository(row).git("symbolic-ref", "HEAD", f"refs/heads/{changes['default_branch']}")
    row = forge.store.update("project", row["id"], **changes)
    return web.json_response(await _shape(request, row))


@routes.delete("/api/v4/projects/{id}")
async def delete_project(request: web.Request) -> web.Response:
    """Gone at once."""
    row = require(request, MAINTAINER)
    await request.app[FORGE].remove_project(row)
    return web.json_response({"message": "202 Accepted"}, status=202)


@routes.get("/api/v4/projects/{id}/variables")
async def list_variables(request: web.Request) -> web.Response:
    """All variables of the project, oldest first."""
    row = require(request, MAINTAINER)
    rows = list(reversed(request.app[FORGE].store.list("variable", project=row["id"])))
    return page(request, rows, shapes_ci.variable)


@routes.post("/api/v4/projects/{id}/variables")
async def create_variable(request: web.Request) -> web.Response:
    """A new variable; refused in GitLab's words where it cannot be masked or the name is taken."""
    row, given = require(request, MAINTAINER), await parameters(request, "key", "value")
    store = request.app[FORGE].store
    made = checked(given, store.list("variable", project=row["id"]))
    return web.json_response(shapes_ci.variable(store.add("variable", made, project=row["id"])), status=201)


@routes.get("/api/v4/projects/{id}/variables/{key}")
async def get_variable(request: web.Request) -> web.Response:
    """One variable."""
    return web.json_response(shapes_ci.variable(_variable(request)))


@routes.put("/api/v4/projects/{id}/variables/{key}")
async def update_variable(request: web.Request) -> web.Response:
    """The variable with what was given."""
    found, given = _variable(request), await parameters(request)
    changes = {key: given[key] for key in CHANGEABLE if key in given}
    made = checked({**found, **changes}, [])
    return web.json_response(shapes_ci.variable(request.app[FORGE].store.update("variable", found["id"], **made)))


@routes.delete("/api/v4/projects/{id}/variables/{key}")
async def delete_variable(request: web.Request) -> web.Response:
    """Forget a variable."""
    request.app[FORGE].store.remove("variable", _variable(request)["id"])
    return web.Response(status=204)


def _variable(request: web.Request) -> Row:
    row = require(request, MAINTAINER)
    rows = request.app[FORGE].store.list("variable", project=row["id"])
    found = next((one for one in rows if one["key"] == part(request, "key")), None)
    if found is None:
        raise NotFound("Variable")
    return found


@routes.get("/api/v4/projects/{id}/members/all")
@routes.get("/api/v4/projects/{id}/members")
async def members(request: web.Request) -> web.Response:
    """The administrator and the users with a token, with their access levels."""
    row = require(request, REPORTER)
    forge = request.app[FORGE]
    users = [u for u in forge.store.list("user") if u.get("project") in (None, row["id"])]
    everybody = [{**forge.root, "access_level": OWNER}, *users]
    base = base_url(request)
    return page(request, everybody, lambda one: {**shapes.user(one, base), "access_level": one["access_level"]})
