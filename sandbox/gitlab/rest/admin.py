"""What the sandbox alone has: faults for the next pipeline, and a limit of requests; for the administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.gitlab.access import OWNER
from sandbox.gitlab.faults import FAULTS
from sandbox.gitlab.limit import STYLES
from sandbox.gitlab.refusals import Forbidden, Invalid
from sandbox.gitlab.rest.asking import FORGE, caller, parameters

if TYPE_CHECKING:
    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()
ROOT = "/api/v4/sandbox"
MOST = 1000


@routes.get(ROOT + "/faults")
async def list_faults(request: web.Request) -> web.Response:
    """The kinds of faults, and those that wait for a pipeline."""
    _administrator(request)
    kinds = [
        {"name": name, "about": fault.about, "failure_reason": fault.failure_reason, "times": fault.times}
        for name, fault in FAULTS.items()
    ]
    waiting = [_shape(request, row) for row in reversed(request.app[FORGE].store.list("fault"))]
    return web.json_response({"kinds": kinds, "waiting": waiting})


@routes.post(ROOT + "/faults")
async def add_fault(request: web.Request) -> web.Response:
    """A fault for the next pipeline, of one project and one job where they are named; 400 for an unknown name."""
    _administrator(request)
    given, forge = await parameters(request, "name"), request.app[FORGE]
    fault = FAULTS.get(str(given["name"]))
    if fault is None:
        raise Invalid(f"name does not have a valid value; there are {', '.join(FAULTS)}")
    project = forge.project(str(given["project"]))["id"] if given.get("project") else None
    times = str(given.get("times") or fault.times)
    if times != str(fault.times) and not (times.isdecimal() and 0 < int(times) <= MOST):
        raise Invalid("times is invalid")
    row = {"name": str(given["name"]), "project": project, "job": given.get("job"), "times": int(times)}
    return web.json_response(_shape(request, forge.store.add("fault", row)), status=201)


@routes.delete(ROOT + "/faults")
async def clear_faults(request: web.Request) -> web.Response:
    """No fault waits any more."""
    _administrator(request)
    store = request.app[FORGE].store
    for row in store.list("fault"):
        store.remove("fault", row["id"])
    return web.Response(status=204)


@routes.put(ROOT + "/limit")
async def set_limit(request: web.Request) -> web.Response:
    """The next `requests` are answered with 429; `retry_after` seconds, written as `style` says."""
    _administrator(request)
    given = await parameters(request, "requests")
    numbers = {"requests": given["requests"], "retry_after": given.get("retry_after", 30)}
    style = str(given.get("style", "seconds"))
    if style not in STYLES or not all(str(one).isdecimal() for one in numbers.values()):
        raise Invalid("requests, retry_after or style is invalid")
    request.app[FORGE].limit.set(int(numbers["requests"]), int(numbers["retry_after"]), STYLES[style])
    return web.json_response({"requests": int(numbers["requests"]), "style": style})


def _administrator(request: web.Request) -> None:
    who = caller(request)
    if who.level < OWNER or who.project is not None:
        raise Forbidden


def _shape(request: web.Request, row: Row) -> Row:
    project = request.app[FORGE].store.get("project", row["project"] or 0) or {}
    return {**row, "project": project.get("path_with_namespace")}
