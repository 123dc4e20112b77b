"""The pages of what lies in a repository: commits, comparisons, files, merge requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.gitlab.pages_render import level, page, project, repository
from sandbox.gitlab.refusals import NotFound
from sandbox.gitlab.repository import FOLDER
from sandbox.gitlab.repository_diffs import diff, merge_base
from sandbox.gitlab.rest.asking import FORGE

if TYPE_CHECKING:
    from sandbox.gitlab.repository import Repository

routes = web.RouteTableDef()


@routes.get(r"/{project:.+?}/-/commit/{sha:[0-9a-f]{7,40}}")
async def commit(request: web.Request) -> web.Response:
    """A commit with its changes and its pipelines."""
    forge, row, repo = request.app[FORGE], project(request), repository(request)
    sha = await repo.resolve(request.match_info["sha"])
    if sha is None:
        raise NotFound("Commit")
    [info] = await repo.log(sha, limit=1)
    changed = await diff(repo, info.parents[0] if info.parents else None, sha)
    started = [one for one in forge.store.where("pipeline", "sha", sha) if one["project_id"] == row["id"]]
    return page("commit.html", project=row, commit=info, diffs=changed, pipelines=started)


@routes.get(r"/{project:.+?}/-/compare/{old:.+?}...{new:.+}")
async def compare(request: web.Request) -> web.Response:
    """What lies between two refs."""
    row, repo = project(request), repository(request)
    old, new = await _sha(repo, request.match_info["old"]), await _sha(repo, request.match_info["new"])
    base = await merge_base(repo, old, new) or old
    infos = await repo.log(new, f"^{old}")
    title = f"{request.match_info['old']}...{request.match_info['new']}"
    changed = await diff(repo, base, new)
    return page("compare.html", project=row, title=title, commits=infos, diffs=changed)


@routes.get(r"/{project:.+?}/-/commits/{ref:.+}")
async def commits(request: web.Request) -> web.Response:
    """The commits of a ref, newest first."""
    repo, ref = repository(request), request.match_info["ref"]
    infos = await repo.log(await _sha(repo, ref), limit=100)
    return page("commits.html", project=project(request), ref=ref, commits=infos)


@routes.get(r"/{project:.+?}/-/merge_requests")
async def merge_requests(request: web.Request) -> web.Response:
    """The merge requests of a project, newest first."""
    forge, row = request.app[FORGE], project(request)
    return page("merge_requests.html", project=row, merge_requests=forge.merge_requests.all_of(row))


@routes.get(r"/{project:.+?}/-/merge_requests/{iid:\d+}")
async def merge_request(request: web.Request) -> web.Response:
    """A merge request with its comments, commits and changes."""
    forge, row, repo = request.app[FORGE], project(request), repository(request)
    one = await forge.merge_requests.looked_up(forge.merge_requests.get(row, request.match_info["iid"]), repo)
    refs = one["diff_refs"]
    there = one["sha"] and refs["start_sha"]
    infos = await repo.log(one["sha"], f"^{refs['start_sha']}") if there else []
    changed = await diff(repo, refs["base_sha"], one["sha"]) if one["sha"] else []
    runs = [each for each in forge.store.list("pipeline", project=row["id"]) if each["ref"] == one["source_branch"]]
    notes = list(reversed(forge.merge_requests.notes(one)))
    values: dict[str, Any] = {"commits": infos, "diffs": changed, "pipelines": runs[:10], "notes": notes}
    return page("merge_request.html", project=row, merge_request=one, **values)


@routes.get(r"/{project:.+?}/-/{kind:tree|blob|tags}/{rest:.+}")
async def content(request: web.Request) -> web.Response:
    """A folder or a file at a ref."""
    row, repo = project(request), repository(request)
    ref, path = await _ref_and_path(repo, request.match_info["rest"].strip("/"))
    sha = await _sha(repo, ref)
    entries = await repo.entries(sha)
    if path and path not in entries:
        raise NotFound("File")
    if path and entries[path][0] != FOLDER:
        text = (await repo.read(sha, path) or b"").decode(errors="replace")
        return page("blob.html", project=row, ref=ref, path=path, text=text)
    return page("tree.html", project=row, ref=ref, path=path, entries=level(entries, path))


async def _ref_and_path(repo: Repository, rest: str) -> tuple[str, str]:
    """A ref may have slashes: the longest beginning that names one, and the path behind it."""
    parts = rest.split("/")
    for end in range(len(parts), 0, -1):
        ref = "/".join(parts[:end])
        if await repo.resolve(ref) is not None:
            return ref, "/".join(parts[end:])
    raise NotFound("Tree")


async def _sha(repo: Repository, ref: str) -> str:
    sha = await repo.resolve(ref)
    if sha is None:
        raise NotFound("Commit")
    return sha
