"""The pages that the API's links lead to: projects, pipelines as stages, jobs with their traces.

They are read without a token by whoever reaches the port, which is open on loopback only. Nothing can be changed here.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.gitlab.pages_render import HEADERS, level, page, part, project, record
from sandbox.gitlab.refusals import NotFound
from sandbox.gitlab.rest.asking import FORGE
from sandbox.gitlab.shapes_ci import FINISHED, warned

if TYPE_CHECKING:
    from sandbox.gitlab.forge import Forge
    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()
SHOWN_TRACE = 1 << 20
STATIC = {"style.css": "text/css", "live.js": "text/javascript"}


@routes.get("/-/static/{name}")
async def static(request: web.Request) -> web.Response:
    """The style and the script."""
    name = request.match_info["name"]
    if name not in STATIC:
        raise web.HTTPNotFound
    text = (files("sandbox.gitlab") / "web" / name).read_text()
    return web.Response(text=text, content_type=STATIC[name], headers={"Cache-Control": "max-age=60"})


@routes.get("/")
async def index(request: web.Request) -> web.Response:
    """All projects with their newest pipelines."""
    forge = request.app[FORGE]
    return page("projects.html", title="Projects", projects=_with_pipelines(forge, forge.store.list("project")))


def _with_pipelines(forge: Forge, rows: list[Row]) -> list[tuple[Row, Row | None]]:
    return [(row, next(iter(forge.store.list("pipeline", project=row["id"])), None)) for row in rows]


@routes.get(r"/{project:.+?}/-/pipelines")
async def pipelines(request: web.Request) -> web.Response:
    """The pipelines of a project, newest first."""
    forge, row = request.app[FORGE], project(request)
    shown = forge.store.list("pipeline", project=row["id"])[:100]
    values: dict[str, Any] = {
        "project": row,
        "pipelines": _rows(forge, shown),
    }
    over = all(one["status"] in FINISHED for one in shown)
    if "part" in request.query:
        return part("_pipelines.html", over=over, **values)
    return page("pipelines.html", over=over, **values)


@routes.get(r"/{project:.+?}/-/pipelines/{key:\d+}")
async def pipeline(request: web.Request) -> web.Response:
    """A pipeline as its stages, each job a dot."""
    forge, row = request.app[FORGE], project(request)
    one = record(request, "pipeline")
    jobs = forge.pipelines.jobs(one["id"])
    retried = [job for job in forge.pipelines.jobs(one["id"], include_retried=True) if job.get("retried")]
    values: dict[str, Any] = {
        "project": row,
        "pipeline": one,
        "stages": _stages(jobs),
        "retried": retried,
        "warned": warned(jobs),
    }
    over = one["status"] in FINISHED
    if "part" in request.query:
        return part("_pipeline.html", over=over, **values)
    return page("pipeline.html", over=over, **values)


def _rows(forge: Forge, shown: list[Row]) -> list[tuple[Row, dict[str, list[Row]]]]:
    """Pipelines with their stages, and whether one passed with warnings."""
    jobs = [forge.pipelines.jobs(one["id"]) for one in shown]
    return [({**one, "warned": warned(each)}, _stages(each)) for one, each in zip(shown, jobs, strict=True)]


def _stages(jobs: list[Row]) -> dict[str, list[Row]]:
    """The jobs by stage, in the order of the stages and of the file."""
    ordered = sorted(jobs, key=lambda job: (job.get("stage_index", 0), job["id"]))
    stages: dict[str, list[Row]] = {}
    for job in ordered:
        stages.setdefault(job["stage"], []).append(job)
    return stages


@routes.get(r"/{project:.+?}/-/jobs/{key:\d+}")
async def job(request: web.Request) -> web.Response:
    """A job and its trace, which grows while it runs."""
    forge, row, one = request.app[FORGE], project(request), record(request, "job")
    text = forge.store.trace(one["id"])
    cut = len(text) > SHOWN_TRACE
    siblings = _stages(forge.pipelines.jobs(one["pipeline_id"]))
    values: dict[str, Any] = {"project": row, "job": one, "trace": text[-SHOWN_TRACE:], "cut": cut, "stages": siblings}
    values |= {"pipeline": forge.store.get("pipeline", one["pipeline_id"])}
    over = one["status"] in FINISHED
    if "part" in request.query:
        return part("_job.html", over=over, **values)
    return page("job.html", over=over, **values)


@routes.get(r"/{project:.+?}/-/jobs/{key:\d+}/raw")
async def raw_trace(request: web.Request) -> web.Response:
    """The trace as the runner wrote it."""
    text = request.app[FORGE].store.trace(record(request, "job")["id"])
    return web.Response(text=text, content_type="text/plain", headers=HEADERS)


@routes.get(r"/{project:.+?}/-/jobs/{key:\d+}/artifacts/download")
async def download(request: web.Request) -> web.StreamResponse:
    """The archive of a job."""
    path = request.app[FORGE].pipelines.artifacts.archive(record(request, "job")["id"])
    if path is None:
        raise NotFound("Artifacts")
    headers = {"Content-Disposition": 'attachment; filename="artifacts.zip"', "Content-Type": "application/zip"}
    return web.FileResponse(path, headers=headers)


@routes.get(r"/{path:(?!api/|-/).+}")
async def project_or_namespace(request: web.Request) -> web.Response:
    """A project; or the projects of a group or a user."""
    forge, path = request.app[FORGE], request.match_info["path"].strip("/")
    row = forge.store.find("project", "path_with_namespace", path)
    if row is not None:
        return await _project_page(forge, row)
    namespace = path.removeprefix("groups/")
    rows = [one for one in forge.store.list("project") if one["path_with_namespace"].startswith(f"{namespace}/")]
    if not rows and forge.store.find("namespace", "full_path", namespace) is None:
        raise NotFound("Page")
    return page("projects.html", title=namespace, projects=_with_pipelines(forge, rows))


async def _project_page(forge: Forge, row: Row) -> web.Response:
    repository = forge.repository(row)
    branches = await repository.branches()
    head = branches.get(row["default_branch"])
    entries = level(await repository.entries(head), "") if head else []
    started = forge.store.list("pipeline", project=row["id"])[:5]
    opened = [one for one in forge.merge_requests.all_of(row) if one["state"] == "opened"]
    values: dict[str, Any] = {
        "branches": branches,
        "entries": entries,
        "merge_requests": opened,
        "base": forge.base_url,
    }
    return page("project.html", project=row, ref=row["default_branch"], pipelines=_rows(forge, started), **values)
