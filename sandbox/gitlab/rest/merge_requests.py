"""Merge requests and the comments on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.gitlab import hook_payloads, shapes, shapes_ci, shapes_merge
from sandbox.gitlab.access import DEVELOPER, OWNER, REPORTER
from sandbox.gitlab.refusals import Forbidden, Refused
from sandbox.gitlab.repository import Author
from sandbox.gitlab.repository_diffs import diff, merged_tree
from sandbox.gitlab.rest.asking import (
    FORGE,
    base_url,
    caller,
    parameters,
    part,
    project,
    repository,
    require,
    truth,
)
from sandbox.gitlab.rest.paging import page, paged, window

if TYPE_CHECKING:
    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()
ROOT = "/api/v4/projects/{id}/merge_requests"
ONE = ROOT + "/{iid}"
FILTERS = ("source_branch", "target_branch")


@routes.get(ROOT)
async def list_merge_requests(request: web.Request) -> web.Response:
    """Newest first; filters `state`, `source_branch`, `target_branch`, `labels`, `search`, `draft`, `iids[]`."""
    row, wanted, forge = project(request), request.query, request.app[FORGE]
    rows = forge.merge_requests.all_of(row)
    rows = [one for one in rows if wanted.get("state", "all") in {"all", one["state"]}]
    rows = [one for one in rows if all(one[key] == wanted[key] for key in FILTERS if key in wanted)]
    if search := wanted.get("search", "").lower():
        rows = [one for one in rows if search in f"{one['title']} {one['description'] or ''}".lower()]
    if iids := wanted.getall("iids[]", []):
        rows = [one for one in rows if str(one["iid"]) in iids]
    if labels := set(filter(None, wanted.get("labels", "").split(","))):
        rows = [one for one in rows if labels <= set(one["labels"])]
    rows.sort(key=lambda one: one[_order(wanted.get("order_by"))], reverse=wanted.get("sort", "desc") != "asc")
    found = [await forge.merge_requests.looked_up(one, repository(request)) for one in rows]
    if "wip" in wanted or "draft" in wanted:
        drafts = truth(wanted.get("draft", wanted.get("wip")))
        found = [one for one in found if one["draft"] is drafts]
    shaped = [shapes_merge.merge_request(one, row, base_url(request)) for one in window(request, found)]
    return paged(request, shaped, len(found))


def _order(given: str | None) -> str:
    return given if given in {"created_at", "updated_at", "title"} else "created_at"


@routes.post(ROOT)
async def create_merge_request(request: web.Request) -> web.Response:
    """Open one; 409 where the branch has one already."""
    row = require(request, DEVELOPER)
    given = await parameters(request, "source_branch", "target_branch", "title")
    given |= {key: truth(given[key]) for key in ("squash", "remove_source_branch") if key in given}
    made = await request.app[FORGE].merge_requests.open(row, repository(request), given, caller(request).user)
    shaped = await _shape(request, made)
    _hook(request, shaped, "open")
    return web.json_response(shaped, status=201)


@routes.get(ONE)
async def get_merge_request(request: web.Request) -> web.Response:
    """One by its number in the project."""
    return web.json_response(await _shape(request, _one(request)))


@routes.put(ONE)
async def update_merge_request(request: web.Request) -> web.Response:
    """Title (which says whether it is a draft), description, target, labels, closed or open again."""
    row, given = require(request, DEVELOPER), await parameters(request)
    given |= {key: truth(given[key]) for key in ("squash", "remove_source_branch") if key in given}
    if not set(given) - {"id", "iid"}:
        raise Refused("at least one parameter must be provided")
    made = request.app[FORGE].merge_requests.update(row, _one(request), given)
    shaped = await _shape(request, made)
    _hook(request, shaped, {"close": "close", "reopen": "reopen"}.get(str(given.get("state_event")), "update"))
    return web.json_response(shaped)


@routes.delete(ONE)
async def delete_merge_request(request: web.Request) -> web.Response:
    """Forget it and its comments."""
    require(request, OWNER)
    request.app[FORGE].merge_requests.remove(_one(request))
    return web.Response(status=204)


@routes.put(ONE + "/merge")
async def merge(request: web.Request) -> web.Response:
    """Merge it with a merge commit; 405 for a draft, 406 where the branches conflict, 409 where the head moved."""
    row, given = require(request, DEVELOPER), await parameters(request)
    one, repo, forge = await _looked_up(request), repository(request), request.app[FORGE]
    if one["detailed_merge_status"] in {"draft_status", "not_open"}:
        raise Refused("405 Method Not Allowed", 405)
    if given.get("sha") and given["sha"] != one["sha"]:
        raise Refused("SHA does not match HEAD of source branch", 409)
    target = (await repo.branches())[one["target_branch"]]
    tree = await merged_tree(repo, target, one["sha"])
    if tree is None:
        raise Refused("406 Branch cannot be merged", 406)
    default = f"Merge branch '{one['source_branch']}' into '{one['target_branch']}'\n\n{one['title']}\n\n"
    default += f"See merge request {row['path_with_namespace']}!{one['iid']}"
    user = caller(request).user
    message = str(given.get("merge_commit_message") or default)
    sha = await repo.merge_commit(tree, (target, one["sha"]), message, Author(user["name"], user["email"]))
    await repo.move_branch(one["target_branch"], sha, target)
    merged = forge.merge_requests.merged(one, sha, one["sha"], one["diff_refs"])
    if truth(given.get("should_remove_source_branch", one["force_remove_source_branch"])):
        await repo.delete_ref(f"refs/heads/{one['source_branch']}")
    await forge.pushed(row, {f"refs/heads/{one['target_branch']}": (target, sha)}, user)
    shaped = await _shape(request, merged)
    _hook(request, shaped, "merge")
    return web.json_response(shaped)


@routes.get(ONE + "/commits")
async def merge_request_commits(request: web.Request) -> web.Response:
    """The commits that it would bring, newest first."""
    one, row = await _looked_up(request), project(request)
    refs = one["diff_refs"]
    infos = await repository(request).log(one["sha"], f"^{refs['start_sha']}") if one["sha"] else []
    return page(request, infos, lambda info: shapes.commit(info, row, base_url(request)))


@routes.get(ONE + "/diffs")
async def merge_request_diffs(request: web.Request) -> web.Response:
    """The files that it would change."""
    return page(request, await _changes(request, await _looked_up(request)))


@routes.get(ONE + "/changes")
async def merge_request_changes(request: web.Request) -> web.Response:
    """The merge request with the files that it would change."""
    one = await _looked_up(request)
    changes = await _changes(request, one)
    return web.json_response({**await _shape(request, one), "changes": changes, "overflow": False})


async def _changes(request: web.Request, one: Row) -> list[Row]:
    base = one["diff_refs"]["base_sha"]
    return [shapes.diff(changed) for changed in await diff(repository(request), base, one["sha"])]


@routes.get(ONE + "/participants")
async def participants(request: web.Request) -> web.Response:
    """Who opened it, and who commented on it."""
    one = _one(request)
    everybody = [one["author"], *(note["author"] for note in request.app[FORGE].merge_requests.notes(one))]
    found = {author["id"]: author for author in everybody}
    return page(request, found.values(), lambda author: shapes.user(author, base_url(request)))


@routes.get(ONE + "/pipelines")
async def merge_request_pipelines(request: web.Request) -> web.Response:
    """The pipelines of its source branch, newest first."""
    row, one = project(request), _one(request)
    rows = request.app[FORGE].store.list("pipeline", project=row["id"])
    rows = [each for each in rows if each["ref"] == one["source_branch"]]
    return page(request, rows, lambda each: shapes_ci.pipeline(each, row, base_url(request)))


@routes.get(ONE + "/notes")
async def list_notes(request: web.Request) -> web.Response:
    """The comments, newest first unless `sort=asc`; `activity_filter` only_comments leaves out the system's own."""
    rows = request.app[FORGE].merge_requests.notes(_one(request))
    if request.query.get("activity_filter") == "only_comments":
        rows = [one for one in rows if not one["system"]]
    if request.query.get("order_by") == "updated_at":
        rows.sort(key=lambda one: one["updated_at"], reverse=True)
    if request.query.get("sort") == "asc":
        rows.reverse()
    return page(request, rows, lambda note: shapes_merge.note(note, base_url(request)))


@routes.post(ONE + "/notes")
async def create_note(request: web.Request) -> web.Response:
    """A comment."""
    row, given = require(request, REPORTER), await parameters(request, "body")
    forge, one = request.app[FORGE], _one(request)
    note = forge.merge_requests.comment(one, str(given["body"]), caller(request).user)
    shaped = shapes_merge.note(note, base_url(request))
    merge_request = await _shape(request, one)
    payload = hook_payloads.note(shaped, merge_request, row, base_url(request), caller(request).user)
    forge.hooks.fire(row["id"], "note_events", payload)
    return web.json_response(shaped, status=201)


@routes.get(ONE + "/notes/{note}")
async def get_note(request: web.Request) -> web.Response:
    """One comment."""
    note = request.app[FORGE].merge_requests.note(_one(request), request.match_info["note"])
    return web.json_response(shapes_merge.note(note, base_url(request)))


@routes.put(ONE + "/notes/{note}")
async def update_note(request: web.Request) -> web.Response:
    """The comment with another text; only who wrote it may change it."""
    given = await parameters(request, "body")
    note = _own_note(request)
    changed = request.app[FORGE].merge_requests.edit_note(note, str(given["body"]))
    return web.json_response(shapes_merge.note(changed, base_url(request)))


@routes.delete(ONE + "/notes/{note}")
async def delete_note(request: web.Request) -> web.Response:
    """Forget a comment."""
    request.app[FORGE].merge_requests.remove_note(_own_note(request))
    return web.Response(status=204)


def _own_note(request: web.Request) -> Row:
    require(request, REPORTER)
    note = request.app[FORGE].merge_requests.note(_one(request), request.match_info["note"])
    who = caller(request)
    if note["author"]["id"] != who.user["id"] and who.level < OWNER:
        raise Forbidden
    return note


def _one(request: web.Request) -> Row:
    return request.app[FORGE].merge_requests.get(project(request), part(request, "iid"))


async def _looked_up(request: web.Request) -> Row:
    return await request.app[FORGE].merge_requests.looked_up(_one(request), repository(request))


async def _shape(request: web.Request, one: Row) -> Row:
    """A merge request alone: with its newest pipeline and what it lies between."""
    row, forge = project(request), request.app[FORGE]
    found = await forge.merge_requests.looked_up(one, repository(request))
    pipelines = forge.store.where("pipeline", "sha", found["sha"])
    last = next((each for each in pipelines if each["project_id"] == row["id"]), None)
    head: Any = shapes_ci.pipeline(last, row, base_url(request)) if last else None
    more = {"pipeline": head, "head_pipeline": head, "diff_refs": found["diff_refs"], "merge_error": None}
    return {**shapes_merge.merge_request(found, row, base_url(request)), **more}


def _hook(request: web.Request, shaped: Row, action: str) -> None:
    row, user = project(request), caller(request).user
    payload = hook_payloads.merge_request(shaped, action, row, base_url(request), user)
    request.app[FORGE].hooks.fire(row["id"], "merge_requests_events", payload)
