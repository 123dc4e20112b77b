"""Jobs: listed, read with trace and artifacts, played, retried, canceled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.gitlab import shapes_ci
from sandbox.gitlab.access import DEVELOPER
from sandbox.gitlab.clock import now
from sandbox.gitlab.refusals import Forbidden, NotFound, Unauthorized
from sandbox.gitlab.rest.asking import (
    FORGE,
    base_url,
    caller,
    parameters,
    part,
    project,
    record,
    repository,
    require,
    truth,
)
from sandbox.gitlab.rest.paging import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()
ROOT = "/api/v4/projects/{id}/jobs"
ONE = ROOT + r"/{job:\d+}"
OVER = frozenset({"success", "failed", "canceled"})


@routes.get(r"/api/v4/projects/{id}/pipelines/{pipeline:\d+}/jobs")
async def pipeline_jobs(request: web.Request) -> web.Response:
    """The jobs of a pipeline, newest first; retried ones only with `include_retried`; `scope[]` chooses statuses."""
    pipeline = record(request, "pipeline", "Pipeline")
    retried = truth(request.query.get("include_retried"))
    return _page(request, request.app[FORGE].pipelines.jobs(pipeline["id"], include_retried=retried))


@routes.get(ROOT)
async def list_jobs(request: web.Request) -> web.Response:
    """All jobs of the project, newest first, retried ones among them; `scope[]` chooses statuses."""
    return _page(request, request.app[FORGE].store.list("job", project=project(request)["id"]))


def _page(request: web.Request, rows: Sequence[Row]) -> web.Response:
    wanted = {*request.query.getall("scope[]", []), *request.query.getall("scope", [])}
    shown = [row for row in rows if not wanted or row["status"] in wanted]
    return page(request, shown, lambda row: _shape(request, row))


def _shape(request: web.Request, row: Row) -> Row:
    forge = request.app[FORGE]
    pipeline = forge.store.get("pipeline", row["pipeline_id"]) or {}
    return shapes_ci.job(row, pipeline, project(request), base_url(request), forge.root)


@routes.get("/api/v4/job")
async def own_job(request: web.Request) -> web.Response:
    """The job whose token asks."""
    who, forge = caller(request), request.app[FORGE]
    if who.job is None:
        raise Unauthorized
    row = forge.store.get("job", who.job) or {}
    pipeline = forge.store.get("pipeline", row["pipeline_id"]) or {}
    of = forge.project(str(row["project_id"]))
    return web.json_response(shapes_ci.job(row, pipeline, of, base_url(request), forge.root))


@routes.get(ONE)
async def get_job(request: web.Request) -> web.Response:
    """One job."""
    return web.json_response(_shape(request, _job(request)))


@routes.get(ONE + "/trace")
async def trace(request: web.Request) -> web.Response:
    """The trace; empty where there is none."""
    return web.Response(text=request.app[FORGE].store.trace(_job(request)["id"]), content_type="text/plain")


@routes.post(ONE + "/play")
async def play(request: web.Request) -> web.Response:
    """Start a manual or delayed job, with variables."""
    row, given = require(request, DEVELOPER), await parameters(request)
    variables = [{"key": str(v["key"]), "value": str(v["value"])} for v in given.get("job_variables_attributes") or []]
    made = await request.app[FORGE].pipelines.play(row, repository(request), _job(request), variables)
    return web.json_response(_shape(request, made))


@routes.post(ONE + "/retry")
async def retry(request: web.Request) -> web.Response:
    """A new job in place of one that ended."""
    row = require(request, DEVELOPER)
    made = await request.app[FORGE].pipelines.retry_job(row, repository(request), _job(request))
    return web.json_response(_shape(request, made), status=201)


@routes.post(ONE + "/cancel")
async def cancel(request: web.Request) -> web.Response:
    """End one job."""
    require(request, DEVELOPER)
    made = await request.app[FORGE].pipelines.cancel_job(_job(request))
    return web.json_response(_shape(request, made), status=201)


@routes.post(ONE + "/erase")
async def erase(request: web.Request) -> web.Response:
    """Forget trace and artifacts of a job that is over."""
    require(request, DEVELOPER)
    row, forge = _job(request), request.app[FORGE]
    if row["status"] not in OVER:
        raise Forbidden("403 Forbidden - Job is not erasable!")
    forge.store.erase_trace(row["id"])
    forge.pipelines.forget_artifacts(row)
    made = forge.store.update("job", row["id"], erased_at=now())
    return web.json_response(_shape(request, made), status=201)


@routes.get(ONE + "/artifacts")
async def artifacts(request: web.Request) -> web.StreamResponse:
    """The archive that the job left."""
    return _archive(request, _job(request))


@routes.delete(ONE + "/artifacts")
async def delete_artifacts(request: web.Request) -> web.Response:
    """Forget what the job left."""
    require(request, DEVELOPER)
    request.app[FORGE].pipelines.forget_artifacts(_job(request))
    return web.Response(status=204)


@routes.post(ONE + "/artifacts/keep")
async def keep_artifacts(request: web.Request) -> web.Response:
    """The artifacts do not expire any more."""
    require(request, DEVELOPER)
    made = request.app[FORGE].store.update("job", _job(request)["id"], artifacts_expire_at=None)
    return web.json_response(_shape(request, made))


@routes.get(ONE + "/artifacts/{path:.+}")
async def artifact(request: web.Request) -> web.Response:
    """One file of the archive."""
    return _member(request, _job(request), part(request, "path"))


@routes.get(ROOT + "/artifacts/{ref}/download")
async def artifacts_of_ref(request: web.Request) -> web.StreamResponse:
    """The archive of the newest successful job of that name on a branch."""
    return _archive(request, _newest(request))


@routes.get(ROOT + "/artifacts/{ref}/raw/{path:.+}")
async def artifact_of_ref(request: web.Request) -> web.Response:
    """One file of the archive of the newest successful job of that name on a branch."""
    return _member(request, _newest(request), part(request, "path"))


def _newest(request: web.Request) -> Row:
    """The newest successful job of a name in a successful pipeline of a branch."""
    row, ref, name = project(request), part(request, "ref"), request.query.get("job", "")
    store = request.app[FORGE].store
    for job in store.list("job", project=row["id"]):
        if (job["ref"], job["name"], job["status"]) == (ref, name, "success"):
            pipeline = store.get("pipeline", job["pipeline_id"]) or {}
            if pipeline.get("status") == "success":
                return job
    raise NotFound


def _archive(request: web.Request, row: Row) -> web.StreamResponse:
    path = request.app[FORGE].pipelines.artifacts.archive(row["id"])
    if path is None:
        raise NotFound
    disposition = {"Content-Disposition": 'attachment; filename="artifacts.zip"', "Content-Type": "application/zip"}
    return web.FileResponse(path, headers=disposition)


def _member(request: web.Request, row: Row, path: str) -> web.Response:
    content = request.app[FORGE].pipelines.artifacts.read(row["id"], path)
    if content is None:
        raise NotFound
    return web.Response(body=content, content_type="application/octet-stream")


def _job(request: web.Request) -> Row:
    return record(request, "job", "Job")
