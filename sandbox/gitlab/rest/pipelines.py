"""Pipelines, ci/lint."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.gitlab import shapes, shapes_ci
from sandbox.gitlab.access import DEVELOPER, OWNER
from sandbox.gitlab.ci import compile_pipeline
from sandbox.gitlab.pipelines import CI_FILE
from sandbox.gitlab.refusals import Invalid, NotFound, Refused
from sandbox.gitlab.rest.asking import FORGE, base_url, parameters, project, record, repository, require, truth
from sandbox.gitlab.rest.paging import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()
ROOT = "/api/v4/projects/{id}/pipelines"
ONE = ROOT + r"/{pipeline:\d+}"
FILTERS = ("sha", "ref", "status", "source", "name")
SCOPES: dict[str, frozenset[str]] = {
    "running": frozenset({"running"}),
    "pending": frozenset({"pending"}),
    "finished": frozenset({"success", "failed", "canceled"}),
}
ORDERS = frozenset({"id", "status", "ref", "updated_at"})


@routes.get(ROOT)
async def list_pipelines(request: web.Request) -> web.Response:
    """Newest first; filters by sha, ref, status, source, scope, times; `order_by` and `sort`."""
    row, wanted, store = project(request), request.query, request.app[FORGE].store
    sha = wanted.get("sha")
    rows = store.list("pipeline", project=row["id"]) if sha is None else store.where("pipeline", "sha", sha)
    rows = [one for one in rows if one["project_id"] == row["id"] and _fits(one, wanted)]
    order = wanted.get("order_by", "id")
    if order not in ORDERS:
        raise Invalid("order_by does not have a valid value")
    rows.sort(key=lambda one: one[order], reverse=wanted.get("sort", "desc") == "desc")
    return page(request, rows, lambda one: shapes_ci.pipeline(one, row, base_url(request)))


def _fits(row: Row, wanted: Mapping[str, str]) -> bool:
    if any(row.get(key) != wanted[key] for key in FILTERS if key in wanted):
        return False
    scope = wanted.get("scope")
    if scope in SCOPES and row["status"] not in SCOPES[scope]:
        return False
    if scope in {"branches", "tags"} and bool(row.get("tag")) is not (scope == "tags"):
        return False
    if "yaml_errors" in wanted and bool(row["yaml_errors"]) is not truth(wanted["yaml_errors"]):
        return False
    after = all(
        _changed(row, key) > _moment(wanted[key]) for key in ("updated_after", "created_after") if key in wanted
    )
    before = ("updated_before", "created_before")
    return after and all(_changed(row, key) < _moment(wanted[key]) for key in before if key in wanted)


def _changed(row: Row, key: str) -> datetime:
    """When the pipeline was created or last updated, which for a new one is the same."""
    return datetime.fromisoformat((key.startswith("updated") and row["updated_at"]) or row["created_at"])


def _moment(text: str) -> datetime:
    """A moment of a filter; Refused where it is none."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise Refused(f"{text} is no date") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@routes.post("/api/v4/projects/{id}/pipeline")
async def create_pipeline(request: web.Request) -> web.Response:
    """A pipeline for a branch or tag, with variables."""
    row, given = require(request, DEVELOPER), await parameters(request, "ref")
    variables = _variables(given.get("variables"))
    made = await request.app[FORGE].pipelines.create(row, repository(request), str(given["ref"]), variables)
    return web.json_response(_whole(request, made), status=201)


def _variables(given: Any) -> list[Row]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, dict) and one.get("key") for one in given):
        raise Invalid("variables is invalid")
    kinds = [{"variable_type": one.get("variable_type", "env_var")} for one in given]
    return [
        {"key": str(one["key"]), "value": str(one.get("value", "")), **kind}
        for one, kind in zip(given, kinds, strict=True)
    ]


@routes.get(ROOT + "/latest")
async def latest_pipeline(request: web.Request) -> web.Response:
    """The newest pipeline of the newest commit of a branch."""
    row = project(request)
    ref = request.query.get("ref") or row["default_branch"]
    sha = await repository(request).resolve(ref)
    rows = request.app[FORGE].store.list("pipeline", project=row["id"])
    found = next((one for one in rows if (one["ref"], one["sha"]) == (ref, sha)), None)
    if found is None:
        raise NotFound("Pipeline")
    return web.json_response(_whole(request, found))


@routes.get(ONE)
async def get_pipeline(request: web.Request) -> web.Response:
    """One pipeline."""
    return web.json_response(_whole(request, _pipeline(request)))


@routes.delete(ONE)
async def delete_pipeline(request: web.Request) -> web.Response:
    """Forget a pipeline with its jobs."""
    require(request, OWNER)
    await request.app[FORGE].pipelines.remove(_pipeline(request))
    return web.Response(status=204)


@routes.put(ONE + "/metadata")
async def update_metadata(request: web.Request) -> web.Response:
    """Give a pipeline a name."""
    require(request, DEVELOPER)
    given = await parameters(request, "name")
    made = request.app[FORGE].store.update("pipeline", _pipeline(request)["id"], name=str(given["name"]))
    return web.json_response(_whole(request, made))


@routes.get(ONE + "/variables")
async def pipeline_variables(request: web.Request) -> web.Response:
    """The variables that the pipeline was asked for with."""
    require(request, DEVELOPER)
    return page(request, _pipeline(request).get("variables", []), lambda one: {**one, "raw": False})


@routes.get(ONE + "/test_report")
async def test_report(request: web.Request) -> web.Response:
    """The JUnit reports of all jobs."""
    jobs = request.app[FORGE].pipelines.jobs(_pipeline(request)["id"])
    suites = [suite for job in reversed(jobs) for suite in job.get("test_suites", [])]
    return web.json_response(shapes_ci.test_report(suites))


@routes.get(ONE + "/bridges")
async def bridges(request: web.Request) -> web.Response:
    """Downstream pipelines are not started here, so there are none."""
    _pipeline(request)
    return page(request, [])


@routes.post(ONE + "/retry")
async def retry_pipeline(request: web.Request) -> web.Response:
    """The failed and canceled jobs again."""
    row = require(request, DEVELOPER)
    made = await request.app[FORGE].pipelines.retry(row, repository(request), _pipeline(request))
    return web.json_response(_whole(request, made), status=201)


@routes.post(ONE + "/cancel")
async def cancel_pipeline(request: web.Request) -> web.Response:
    """End what is under way."""
    require(request, DEVELOPER)
    return web.json_response(_whole(request, await request.app[FORGE].pipelines.cancel(_pipeline(request))))


@routes.post("/api/v4/projects/{id}/ci/lint")
async def lint(request: web.Request) -> web.Response:
    """Whether a CI document is valid in this project."""
    given = await parameters(request, "content")
    row, ref = project(request), str(given.get("ref") or project(request)["default_branch"])
    return await _lint(request, row, ref, str(given["content"]), jobs=truth(given.get("include_jobs", True)))


@routes.get("/api/v4/projects/{id}/ci/lint")
async def lint_committed(request: web.Request) -> web.Response:
    """Whether the CI document of a commit is valid."""
    row, wanted = project(request), request.query
    ref = wanted.get("content_ref") or wanted.get("ref") or wanted.get("sha") or row["default_branch"]
    sha = await repository(request).resolve(ref)
    if sha is None:
        raise NotFound("Commit")
    content = await repository(request).read(sha, CI_FILE)
    if content is None:
        words = "Please provide content of .gitlab-ci.yml"
        return web.json_response({"valid": False, "errors": [words], "warnings": [], "merged_yaml": None, "jobs": []})
    text = content.decode(errors="replace")
    return await _lint(request, row, ref, text, jobs=truth(wanted.get("include_jobs")))


async def _lint(request: web.Request, row: Row, ref: str, text: str, *, jobs: bool) -> web.Response:
    forge, repo = request.app[FORGE], repository(request)
    found = await repo.named(ref)
    sha = found[1] if found else await repo.resolve(ref)
    full = found[0] if found else f"refs/heads/{ref}"
    context = await forge.pipelines.context(row, repo, full, sha) if sha else forge.empty_context(row)
    return web.json_response(shapes.lint(compile_pipeline(text, context), jobs=jobs))


def _pipeline(request: web.Request) -> Row:
    return record(request, "pipeline", "Pipeline")


def _whole(request: web.Request, row: Row) -> Row:
    forge = request.app[FORGE]
    warnings = shapes_ci.warned(forge.pipelines.jobs(row["id"]))
    return shapes_ci.pipeline_whole(row, project(request), base_url(request), forge.root, warnings=warnings)
