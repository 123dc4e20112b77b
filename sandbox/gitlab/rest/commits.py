"""Commits: made with all their actions, listed, read with their changes and statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.gitlab import shapes, shapes_ci
from sandbox.gitlab.access import DEVELOPER
from sandbox.gitlab.refusals import Invalid, NotFound, Refused
from sandbox.gitlab.repository import KINDS, Action
from sandbox.gitlab.repository_diffs import diff, stats
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
from sandbox.gitlab.rest.repositories import MAY_NOT_PUSH, author, decoded

if TYPE_CHECKING:
    from sandbox.gitlab.repository import CommitInfo
    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()


@routes.get("/api/v4/projects/{id}/repository/commits")
async def list_commits(request: web.Request) -> web.Response:
    """The commits of a ref (or of `from..to`), newest first; `path`, `since` and `until` choose."""
    row, repo, wanted = project(request), repository(request), request.query
    ref = wanted.get("ref_name") or row["default_branch"]
    ends = ref.split("..", 1) if ".." in ref else [ref]
    shas = [await repo.resolve(end) for end in ends]
    if None in shas:
        if wanted.get("ref_name"):
            raise NotFound("Repository")
        return page(request, [])
    revisions = [str(shas[-1]), *(f"^{sha}" for sha in shas[:-1])]
    times = [f"--{name}={wanted[name]}" for name in ("since", "until") if wanted.get(name)]
    everything = ["--all"] if truth(wanted.get("all")) else revisions
    infos = await repo.log(*times, *everything, path=wanted.get("path"))
    return page(request, infos, lambda info: shapes.commit(info, row, base_url(request)))


@routes.post("/api/v4/projects/{id}/repository/commits")
async def create_commit(request: web.Request) -> web.Response:
    """One commit with all its actions, and the pipeline that it starts."""
    row = require(request, DEVELOPER, MAY_NOT_PUSH)
    given = await parameters(request, "branch", "commit_message", "actions")
    actions = _actions(given["actions"])
    start = await _start(request, given)
    forge, who = request.app[FORGE], caller(request).user
    branch, message = str(given["branch"]), str(given["commit_message"])
    force = truth(given.get("force"))
    info = await forge.commit(row, branch, start, actions, message, author(request, given), force=force, by=who)
    shape = await _whole(request, info)
    if str(given.get("stats", "true")).lower() == "false":
        del shape["stats"]
    return web.json_response(shape, status=201)


def _actions(given: Any) -> list[Action]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise Invalid("actions is invalid")
    for number, one in enumerate(given):
        if one.get("action") not in KINDS:
            raise Invalid(f"actions[{number}][action] does not have a valid value")
        if not one.get("file_path"):
            raise Invalid(f"actions[{number}][file_path] is missing")
        if one["action"] == "move" and not one.get("previous_path"):
            raise Invalid(f"actions[{number}][previous_path] is missing")
    return [
        Action(
            one["action"],
            str(one["file_path"]),
            decoded(one),
            one.get("previous_path"),
            None if one.get("execute_filemode") is None else truth(one["execute_filemode"]),
            one.get("last_commit_id"),
        )
        for one in given
    ]


async def _start(request: web.Request, given: dict[str, Any]) -> str | None:
    """The branch or commit that a new branch starts from; Refused where there is no such commit."""
    branch, sha = given.get("start_branch"), given.get("start_sha")
    if branch and sha:
        raise Refused("You can't pass both start_branch and start_sha")
    if sha and not await repository(request).resolve(str(sha)):
        raise Refused(f"Cannot find start_sha '{sha}'")
    return str(branch or sha) if branch or sha else None


async def _whole(request: web.Request, info: CommitInfo) -> Row:
    """A commit alone: with its numbers, its project and its newest pipeline."""
    row = project(request)
    added, removed = await stats(repository(request), info.parents[0] if info.parents else None, info.sha)
    pipelines = request.app[FORGE].store.where("pipeline", "sha", info.sha)
    last = next((one for one in pipelines if one["project_id"] == row["id"]), None)
    return {
        **shapes.commit(info, row, base_url(request)),
        "stats": {"additions": added, "deletions": removed, "total": added + removed},
        "status": last["status"] if last else None,
        "project_id": row["id"],
        "last_pipeline": shapes_ci.pipeline(last, row, base_url(request)) if last else None,
    }


async def _commit(request: web.Request) -> CommitInfo:
    repo = repository(request)
    [info] = await repo.log(await resolved(repo, part(request, "sha"), "Commit"), limit=1)
    return info


@routes.get("/api/v4/projects/{id}/repository/commits/{sha}")
async def get_commit(request: web.Request) -> web.Response:
    """One commit."""
    return web.json_response(await _whole(request, await _commit(request)))


@routes.get("/api/v4/projects/{id}/repository/commits/{sha}/diff")
async def commit_diff(request: web.Request) -> web.Response:
    """What a commit changed, file by file."""
    info = await _commit(request)
    changed = await diff(repository(request), info.parents[0] if info.parents else None, info.sha)
    return page(request, changed, shapes.diff)


@routes.get("/api/v4/projects/{id}/repository/commits/{sha}/refs")
async def commit_refs(request: web.Request) -> web.Response:
    """The branches and tags that hold a commit."""
    info = await _commit(request)
    fields = ("for-each-ref", "--contains", info.sha, "--format=%(refname)")
    listed = (await repository(request).git(*fields, "refs/heads", "refs/tags")).decode().splitlines()
    kinds = {"refs/heads/": "branch", "refs/tags/": "tag"}
    rows = [
        {"type": kind, "name": ref.removeprefix(prefix)}
        for ref in listed
        for prefix, kind in kinds.items()
        if ref.startswith(prefix) and request.query.get("type", "all") in {"all", kind}
    ]
    return page(request, rows)


@routes.get("/api/v4/projects/{id}/repository/commits/{sha}/statuses")
async def commit_statuses(request: web.Request) -> web.Response:
    """The jobs of a commit's newest pipeline as statuses."""
    info, row, forge = await _commit(request), project(request), request.app[FORGE]
    pipelines = [one for one in forge.store.where("pipeline", "sha", info.sha) if one["project_id"] == row["id"]]
    jobs = forge.pipelines.jobs(pipelines[0]["id"]) if pipelines else []
    keys = ("id", "sha", "ref", "status", "name", "created_at", "started_at", "finished_at", "allow_failure")
    return page(request, jobs, lambda job: {key: job[key] for key in keys} | {"coverage": job.get("coverage")})


@routes.get("/api/v4/projects/{id}/repository/commits/{sha}/merge_requests")
async def commit_merge_requests(request: web.Request) -> web.Response:
    """The merge requests whose source branch holds the commit."""
    info, row, forge = await _commit(request), project(request), request.app[FORGE]
    fields = ("for-each-ref", "--contains", info.sha, "--format=%(refname:strip=2)", "refs/heads")
    holding = set((await repository(request).git(*fields)).decode().splitlines())
    rows = [one for one in forge.merge_requests.all_of(row) if one["source_branch"] in holding]
    keys = ("id", "iid", "project_id", "title", "state", "source_branch", "target_branch")
    return page(request, rows, lambda one: {key: one[key] for key in keys})
