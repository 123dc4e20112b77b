"""Branches and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.gitlab import shapes
from sandbox.gitlab.access import DEVELOPER
from sandbox.gitlab.refusals import NotFound, Refused
from sandbox.gitlab.repository import NOWHERE
from sandbox.gitlab.repository_diffs import create_tag, merge_base, tags
from sandbox.gitlab.rest.asking import FORGE, base_url, caller, parameters, part, project, repository, require
from sandbox.gitlab.rest.paging import paged, window
from sandbox.gitlab.rest.repositories import author

if TYPE_CHECKING:
    from sandbox.gitlab.repository import Repository
    from sandbox.gitlab.repository_diffs import Tag
    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()


@routes.get("/api/v4/projects/{id}/repository/branches")
async def list_branches(request: web.Request) -> web.Response:
    """All branches; `search` in the name, `^` and `$` at its ends."""
    found = list((await repository(request).branches()).items())
    if search := request.query.get("search"):
        found = [one for one in found if _fits(one[0], search)]
    return paged(request, [await _branch(request, *one) for one in window(request, found)], len(found))


def _fits(name: str, search: str) -> bool:
    if search.startswith("^"):
        return name.startswith(search[1:])
    return name.endswith(search[:-1]) if search.endswith("$") else search in name


async def _branch(request: web.Request, name: str, sha: str) -> Row:
    row, repo = project(request), repository(request)
    [info] = await repo.log(sha, limit=1)
    default = (await repo.branches()).get(row["default_branch"])
    base = await merge_base(repo, default, sha) if default else None
    merged = base == sha and name != row["default_branch"]
    return shapes.branch(name, info, row, base_url(request), merged=merged)


@routes.get("/api/v4/projects/{id}/repository/branches/{branch}")
async def get_branch(request: web.Request) -> web.Response:
    """One branch with its newest commit."""
    name = part(request, "branch")
    sha = (await repository(request).branches()).get(name)
    if sha is None:
        raise NotFound("Branch")
    return web.json_response(await _branch(request, name, sha))


@routes.post("/api/v4/projects/{id}/repository/branches")
async def create_branch(request: web.Request) -> web.Response:
    """A branch from a ref."""
    row, given = require(request, DEVELOPER), await parameters(request, "branch", "ref")
    repo, name = repository(request), str(given["branch"])
    sha = await repo.resolve(str(given["ref"]))
    if sha is None:
        raise Refused(f"Invalid reference name: {given['ref']}")
    await repo.create_branch(name, sha)
    await request.app[FORGE].pushed(row, {f"refs/heads/{name}": (NOWHERE, sha)}, caller(request).user)
    return web.json_response(await _branch(request, name, sha), status=201)


@routes.delete("/api/v4/projects/{id}/repository/branches/{branch}")
async def delete_branch(request: web.Request) -> web.Response:
    """Remove a branch; the default branch stays."""
    row, name = require(request, DEVELOPER), part(request, "branch")
    sha = (await repository(request).branches()).get(name)
    if sha is None:
        raise NotFound("Branch")
    if name == row["default_branch"]:
        raise Refused("Cannot remove HEAD branch")
    await repository(request).delete_ref(f"refs/heads/{name}")
    await request.app[FORGE].pushed(row, {f"refs/heads/{name}": (sha, NOWHERE)}, caller(request).user)
    return web.Response(status=204)


@routes.get("/api/v4/projects/{id}/repository/tags")
async def list_tags(request: web.Request) -> web.Response:
    """All tags, newest first."""
    found = await tags(repository(request))
    if search := request.query.get("search"):
        found = [one for one in found if _fits(one.name, search)]
    return paged(request, [await _tag(request, one) for one in window(request, found)], len(found))


async def _tag(request: web.Request, given: Tag) -> Row:
    [info] = await repository(request).log(given.sha, limit=1)
    return shapes.tag(given, info, project(request), base_url(request))


@routes.get("/api/v4/projects/{id}/repository/tags/{tag}")
async def get_tag(request: web.Request) -> web.Response:
    """One tag."""
    return web.json_response(await _tag(request, await _named_tag(request, part(request, "tag"))))


@routes.post("/api/v4/projects/{id}/repository/tags")
async def add_tag(request: web.Request) -> web.Response:
    """A tag on a ref, annotated where it has a message; its pipeline starts."""
    row, given = require(request, DEVELOPER), await parameters(request, "tag_name", "ref")
    repo: Repository = repository(request)
    name, sha = str(given["tag_name"]), await repo.resolve(str(given["ref"]))
    if sha is None:
        raise Refused(f"Target {given['ref']} is invalid")
    await create_tag(repo, name, sha, str(given.get("message") or ""), author(request, {}))
    await request.app[FORGE].pushed(row, {f"refs/tags/{name}": (NOWHERE, sha)}, caller(request).user)
    return web.json_response(await _tag(request, await _named_tag(request, name)), status=201)


@routes.delete("/api/v4/projects/{id}/repository/tags/{tag}")
async def delete_tag(request: web.Request) -> web.Response:
    """Remove a tag."""
    row = require(request, DEVELOPER)
    found = await _named_tag(request, part(request, "tag"))
    await repository(request).delete_ref(f"refs/tags/{found.name}")
    await request.app[FORGE].pushed(row, {f"refs/tags/{found.name}": (found.sha, NOWHERE)}, caller(request).user)
    return web.Response(status=204)


async def _named_tag(request: web.Request, name: str) -> Tag:
    found = next((one for one in await tags(repository(request)) if one.name == name), None)
    if found is None:
        raise NotFound("Tag")
    return found
