"""The v4 REST API: the subset that greenrun and python-gitlab use, with GitLab's shapes, codes and words."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from sandbox.gitlab import shapes
from sandbox.gitlab.ci import compile_pipeline
from sandbox.gitlab.forge import Forge, NotFound
from sandbox.gitlab.repository import Action, Author, Refused, Repository

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from sandbox.gitlab.store import Row

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FORGE = web.AppKey("forge", Forge)
USER = web.RequestKey("user", dict[str, Any])
DEVELOPER, MAINTAINER = 30, 40
routes = web.RouteTableDef()


class ApiError(Exception):
    """An answer other than success; `message` as GitLab words it."""

    def __init__(self, status: int, message: Any) -> None:
        """With the HTTP status."""
        super().__init__(str(message))
        self.status = status
        self.message = message


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as GitLab's JSON."""
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response({"message": error.message}, status=error.status)
    except Refused as error:
        return web.json_response({"message": str(error)}, status=400)
    except NotFound as error:
        return web.json_response({"message": f"404 {error} Not Found"}, status=404)
    except json.JSONDecodeError:
        return web.json_response({"error": "The request body is not valid JSON"}, status=400)
    except web.HTTPNotFound:
        return web.json_response({"error": "404 Not Found"}, status=404)


@web.middleware
async def authentication(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A token in PRIVATE-TOKEN or as bearer; without one only public projects are read."""
    if not request.path.startswith("/api/v4/"):
        return await handler(request)
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    token = request.headers.get("PRIVATE-TOKEN") or bearer
    user = request.app[FORGE].user_of(token) if token else None
    if user is None:
        raise ApiError(401, "401 Unauthorized")
    request[USER] = user
    return await handler(request)


@routes.get("/api/v4/version")
async def version(_request: web.Request) -> web.Response:
    """The version, which says what this is."""
    return web.json_response({"version": "18.0.0-sandbox", "revision": "greenrun"})


@routes.get("/api/v4/user")
async def user(request: web.Request) -> web.Response:
    """Whose token it is."""
    return web.json_response(shapes.user(request[USER], _base(request)))


@routes.get("/api/v4/projects")
async def list_projects(request: web.Request) -> web.Response:
    """All projects, newest first; `search` in the path."""
    search = request.query.get("search", "").lower()
    forge = request.app[FORGE]
    rows = [row for row in forge.store.list("project") if search in row["path_with_namespace"].lower()]
    return _page(request, [await _project_shape(request, row) for row in rows])


@routes.post("/api/v4/projects")
async def create_project(request: web.Request) -> web.Response:
    """A new, empty project."""
    body = await _body(request, "name")
    path = body.get("path") or body["name"]
    namespace = body.get("namespace_path") or request[USER]["username"]
    if found := request.app[FORGE].store.get("namespace", int(body.get("namespace_id") or 0)):
        namespace = found["full_path"]
    row = await request.app[FORGE].add_project(f"{namespace}/{path}", visibility=body.get("visibility", "private"))
    if row is None:
        raise ApiError(400, {"path": ["has already been taken"]})
    return web.json_response(await _project_shape(request, row), status=201)


@routes.get("/api/v4/projects/{id}")
async def get_project(request: web.Request) -> web.Response:
    """By id or encoded path."""
    return web.json_response(await _project_shape(request, _project(request)))


@routes.delete("/api/v4/projects/{id}")
async def delete_project(request: web.Request) -> web.Response:
    """Gone at once."""
    _require(request, MAINTAINER)
    request.app[FORGE].remove_project(_project(request))
    return web.json_response({"message": "202 Accepted"}, status=202)


@routes.get("/api/v4/projects/{id}/repository/tree")
async def tree(request: web.Request) -> web.Response:
    """Files (and, unless recursive, the folders of one level)."""
    repository = _repository(request)
    sha = await _resolved(repository, request.query.get("ref") or _project(request)["default_branch"], "Tree")
    files = await repository.tree(sha)
    entries = shapes.tree(
        files, request.query.get("path", ""), recursive=request.query.get("recursive", "").lower() == "true"
    )
    return _page(request, entries)


@routes.get("/api/v4/projects/{id}/repository/files/{path}/raw")
async def raw_file(request: web.Request) -> web.Response:
    """A file's bytes."""
    _, content, _ = await _file(request)
    return web.Response(body=content, content_type="text/plain")


@routes.get("/api/v4/projects/{id}/repository/files/{path}")
async def get_file(request: web.Request) -> web.Response:
    """A file with its content in base64."""
    path, content, sha = await _file(request)
    return web.json_response(
        {
            "file_name": path.rpartition("/")[2],
            "file_path": path,
            "size": len(content),
            "encoding": "base64",
            "content": base64.b64encode(content).decode(),
            "ref": request.query.get("ref", ""),
            "commit_id": sha,
            "last_commit_id": sha,
        }
    )


@routes.get("/api/v4/projects/{id}/repository/branches")
async def list_branches(request: web.Request) -> web.Response:
    """All branches."""
    repository, project = _repository(request), _project(request)
    found = (await repository.branches()).items()
    return _page(request, [await _branch_shape(request, project, repository, *branch) for branch in found])


@routes.get("/api/v4/projects/{id}/repository/branches/{branch}")
async def get_branch(request: web.Request) -> web.Response:
    """One branch with its newest commit."""
    repository, name = _repository(request), unquote(request.match_info["branch"])
    sha = (await repository.branches()).get(name)
    if sha is None:
        raise NotFound("Branch")
    return web.json_response(await _branch_shape(request, _project(request), repository, name, sha))


@routes.post("/api/v4/projects/{id}/repository/branches")
async def create_branch(request: web.Request) -> web.Response:
    """A branch from a ref."""
    _require(request, DEVELOPER)
    body = {**request.query, **(await _body(request))}
    repository = _repository(request)
    sha = await repository.resolve(str(body.get("ref", "")))
    if sha is None:
        raise ApiError(400, "Invalid reference name: " + str(body.get("ref")))
    await repository.create_branch(str(body["branch"]), sha)
    shape = await _branch_shape(request, _project(request), repository, str(body["branch"]), sha)
    return web.json_response(shape, status=201)


@routes.delete("/api/v4/projects/{id}/repository/branches/{branch}")
async def delete_branch(request: web.Request) -> web.Response:
    """Remove a branch."""
    _require(request, DEVELOPER)
    name = unquote(request.match_info["branch"])
    if name not in await _repository(request).branches():
        raise NotFound("Branch")
    await _repository(request).delete_branch(name)
    return web.Response(status=204)


@routes.get("/api/v4/projects/{id}/repository/commits")
async def list_commits(request: web.Request) -> web.Response:
    """The commits of a ref, newest first."""
    project, repository = _project(request), _repository(request)
    sha = await repository.resolve(request.query.get("ref_name") or project["default_branch"])
    if sha is None:
        if request.query.get("ref_name"):
            raise NotFound("Repository")
        return _page(request, [])
    commits = await repository.log(sha, path=request.query.get("path"))
    return _page(request, [shapes.commit(commit, project, _base(request)) for commit in commits])


@routes.get("/api/v4/projects/{id}/repository/commits/{sha}")
async def get_commit(request: web.Request) -> web.Response:
    """One commit."""
    project, repository = _project(request), _repository(request)
    sha = await _resolved(repository, unquote(request.match_info["sha"]), "Commit")
    [commit] = await repository.log(sha, limit=1)
    return web.json_response(shapes.commit(commit, project, _base(request)))


@routes.post("/api/v4/projects/{id}/repository/commits")
async def create_commit(request: web.Request) -> web.Response:
    """One commit with all its actions, and the pipeline that it starts."""
    body = await _body(request, "branch", "commit_message", "actions")
    project = _project(request)
    if request[USER]["access_level"] < DEVELOPER:
        raise ApiError(403, "403 Forbidden - You are not allowed to push into this branch")
    author = Author(
        body.get("author_name") or request[USER]["name"], body.get("author_email") or request[USER]["email"]
    )
    actions = [_action(raw) for raw in body["actions"]]
    start = body.get("start_branch") or body.get("start_sha")
    forge = request.app[FORGE]
    commit = await forge.commit(project, str(body["branch"]), start, actions, str(body["commit_message"]), author)
    return web.json_response(shapes.commit(commit, project, _base(request)), status=201)


@routes.get("/api/v4/projects/{id}/pipelines")
async def list_pipelines(request: web.Request) -> web.Response:
    """Newest first; filters `sha`, `ref`, `status`."""
    project = _project(request)
    filters = {key: request.query[key] for key in ("sha", "ref", "status") if key in request.query}
    rows = request.app[FORGE].store.list("pipeline", project=project["id"])
    rows = [row for row in rows if all(row[key] == value for key, value in filters.items())]
    return _page(request, [shapes.pipeline(row, project, _base(request), short=True) for row in rows])


@routes.get("/api/v4/projects/{id}/pipelines/{pipeline}")
async def get_pipeline(request: web.Request) -> web.Response:
    """One pipeline."""
    return web.json_response(shapes.pipeline(_pipeline(request), _project(request), _base(request)))


@routes.post("/api/v4/projects/{id}/pipelines/{pipeline}/retry")
async def retry_pipeline(request: web.Request) -> web.Response:
    """The jobs that did not succeed, again."""
    _require(request, DEVELOPER)
    project = _project(request)
    row = await request.app[FORGE].pipelines.retry(project, _repository(request), _pipeline(request))
    return web.json_response(shapes.pipeline(row, project, _base(request)), status=201)


@routes.post("/api/v4/projects/{id}/pipelines/{pipeline}/cancel")
async def cancel_pipeline(request: web.Request) -> web.Response:
    """End what is under way."""
    _require(request, DEVELOPER)
    row = await request.app[FORGE].pipelines.cancel(_pipeline(request))
    return web.json_response(shapes.pipeline(row, _project(request), _base(request)))


@routes.get("/api/v4/projects/{id}/pipelines/{pipeline}/jobs")
async def list_jobs(request: web.Request) -> web.Response:
    """The jobs of a pipeline, newest first; retried ones only with `include_retried`."""
    retried = request.query.get("include_retried", "").lower() == "true"
    pipeline, project = _pipeline(request), _project(request)
    rows = request.app[FORGE].pipelines.jobs(pipeline["id"], include_retried=retried)
    wanted = request.query.getall("scope[]", [])
    rows = [row for row in rows if not wanted or row["status"] in wanted]
    return _page(request, [shapes.job(row, pipeline, project, _base(request)) for row in rows])


@routes.get("/api/v4/projects/{id}/jobs/{job}")
async def get_job(request: web.Request) -> web.Response:
    """One job."""
    row = _job(request)
    pipeline = request.app[FORGE].store.get("pipeline", row["pipeline_id"]) or {}
    return web.json_response(shapes.job(row, pipeline, _project(request), _base(request)))


@routes.get("/api/v4/projects/{id}/jobs/{job}/trace")
async def trace(request: web.Request) -> web.Response:
    """The trace; empty where there is none."""
    return web.Response(text=request.app[FORGE].store.trace(_job(request)["id"]), content_type="text/plain")


@routes.post("/api/v4/projects/{id}/ci/lint")
async def lint(request: web.Request) -> web.Response:
    """Whether a CI document is valid in this project."""
    body = await _body(request, "content")
    project, repository, forge = _project(request), _repository(request), request.app[FORGE]
    ref = body.get("ref") or project["default_branch"]
    sha = await repository.resolve(ref)
    context = await forge.pipelines.context(project, repository, ref, sha) if sha else forge.empty_context(project)
    return web.json_response(shapes.lint(compile_pipeline(str(body["content"]), context)))


def _base(request: web.Request) -> str:
    return request.app[FORGE].base_url


def _project(request: web.Request) -> Row:
    return request.app[FORGE].project(unquote(request.match_info["id"]))


def _repository(request: web.Request) -> Repository:
    return request.app[FORGE].repository(_project(request))


def _pipeline(request: web.Request) -> Row:
    return _of_project(request, "pipeline", "Pipeline")


def _job(request: web.Request) -> Row:
    return _of_project(request, "job", "Job")


def _of_project(request: web.Request, kind: str, name: str) -> Row:
    """A record that the path names, if it belongs to the project."""
    key = request.match_info[kind]
    row = request.app[FORGE].store.get(kind, int(key)) if key.isdigit() else None
    if row is None or row["project_id"] != _project(request)["id"]:
        raise NotFound(name)
    return row


async def _file(request: web.Request) -> tuple[str, bytes, str]:
    """Path, content and commit of the file that the request names."""
    repository, path = _repository(request), unquote(request.match_info["path"])
    sha = await _resolved(repository, request.query.get("ref") or _project(request)["default_branch"], "Commit")
    content = await repository.read(sha, path)
    if content is None:
        raise NotFound("File")
    return path, content, sha


async def _resolved(repository: Repository, ref: str, name: str) -> str:
    sha = await repository.resolve(ref)
    if sha is None:
        raise NotFound(name)
    return sha


async def _body(request: web.Request, *required: str) -> dict[str, Any]:
    """The request's JSON or form; 400 names what is missing."""
    if request.content_type == "application/json":
        body = await request.json() if await request.read() else {}
    else:
        body = dict(await request.post())
    missing = [f"{name} is missing" for name in required if name not in body]
    if missing:
        raise ApiError(400, ", ".join(missing))
    return dict(body)


def _require(request: web.Request, level: int) -> None:
    if request[USER]["access_level"] < level:
        raise ApiError(403, "403 Forbidden")


def _action(raw: dict[str, Any]) -> Action:
    content = raw.get("content") or ""
    data = base64.b64decode(content) if raw.get("encoding") == "base64" else content.encode()
    return Action(
        str(raw.get("action")),
        str(raw.get("file_path", "")),
        data,
        raw.get("previous_path"),
        raw.get("execute_filemode"),
    )


async def _project_shape(request: web.Request, row: Row) -> Row:
    empty = not await request.app[FORGE].repository(row).branches()
    return shapes.project(row, _base(request), empty=empty)


async def _branch_shape(request: web.Request, project: Row, repository: Repository, name: str, sha: str) -> Row:
    [commit] = await repository.log(sha, limit=1)
    return shapes.branch(name, commit, project, _base(request))


def _page(request: web.Request, rows: Iterable[Any]) -> web.Response:
    """One page with GitLab's Link and X- headers; 20 a page unless asked otherwise, at most 100."""
    items = list(rows)
    try:
        page, size = (max(1, int(request.query.get(key, default))) for key, default in (("page", 1), ("per_page", 20)))
    except ValueError as error:
        raise ApiError(400, "page is invalid") from error
    size = min(size, 100)
    pages = max(1, -(-len(items) // size))
    numbers = {"prev": page - 1 if page > 1 else None, "next": page + 1 if page < pages else None}
    links = {**numbers, "first": 1, "last": pages}
    url = request.app[FORGE].base_url + request.path
    query = {**request.query, "per_page": str(size)}
    link = ", ".join(
        f'<{url}?{"&".join(f"{k}={v}" for k, v in {**query, "page": number}.items())}>; rel="{name}"'
        for name, number in links.items()
        if number is not None
    )
    headers = {"Link": link, "X-Page": str(page), "X-Per-Page": str(size), "X-Total": str(len(items))}
    headers |= {"X-Total-Pages": str(pages), "X-Next-Page": str(numbers["next"] or "")}
    headers["X-Prev-Page"] = str(numbers["prev"] or "")
    return web.json_response(items[(page - 1) * size : page * size], headers=headers)
