"""The webhooks of a project: made, changed, tried, and what was sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.gitlab import hook_payloads, shapes, shapes_merge
from sandbox.gitlab.access import MAINTAINER
from sandbox.gitlab.hooks import Hook
from sandbox.gitlab.refusals import Invalid, NotFound, Refused
from sandbox.gitlab.repository import NOWHERE
from sandbox.gitlab.rest.asking import FORGE, base_url, caller, parameters, record, repository, require, truth
from sandbox.gitlab.rest.paging import page

if TYPE_CHECKING:
    from sandbox.gitlab.store import Row

routes = web.RouteTableDef()
ROOT = "/api/v4/projects/{id}/hooks"
ONE = ROOT + "/{hook}"
TEXTS = ("url", "token", "name", "description", "push_events_branch_filter")


@routes.get(ROOT)
async def list_hooks(request: web.Request) -> web.Response:
    """All hooks of the project."""
    row = require(request, MAINTAINER)
    return page(request, request.app[FORGE].hooks.of(row["id"]), shapes_merge.hook)


@routes.post(ROOT)
async def create_hook(request: web.Request) -> web.Response:
    """A new hook."""
    row, given = require(request, MAINTAINER), await parameters(request, "url")
    made = request.app[FORGE].hooks.add(row, _fields(given))
    return web.json_response(shapes_merge.hook(made), status=201)


@routes.get(ONE)
async def get_hook(request: web.Request) -> web.Response:
    """One hook."""
    return web.json_response(shapes_merge.hook(_hook(request)))


@routes.put(ONE)
async def update_hook(request: web.Request) -> web.Response:
    """The hook with what was given."""
    hook, given = _hook(request), await parameters(request)
    return web.json_response(shapes_merge.hook(request.app[FORGE].hooks.update(hook, _fields(given))))


@routes.delete(ONE)
async def delete_hook(request: web.Request) -> web.Response:
    """Forget a hook."""
    request.app[FORGE].hooks.remove(_hook(request))
    return web.Response(status=204)


@routes.post(ONE + "/test/{trigger}")
async def test_hook(request: web.Request) -> web.Response:
    """Send one event of a kind now; 422 where the receiver did not take it."""
    row, hook, trigger = require(request, MAINTAINER), _hook(request), request.match_info["trigger"]
    payload = await _example(request, row, trigger)
    event = await request.app[FORGE].hooks.test(hook, trigger, payload)
    if not event["response_status"].startswith("2"):
        raise Refused(event["response_body"] or event["response_status"], 422)
    return web.json_response({"message": "201 Created"}, status=201)


async def _example(request: web.Request, row: Row, trigger: str) -> Row:
    """What the newest push, pipeline or job of the project would send."""
    forge, base, user = request.app[FORGE], base_url(request), caller(request).user
    pipelines = forge.store.list("pipeline", project=row["id"])
    if trigger in {"pipeline_events", "job_events"}:
        jobs = forge.pipelines.jobs(pipelines[0]["id"]) if pipelines else []
        if not pipelines or (trigger == "job_events" and not jobs):
            raise Refused(f"Ensure the project has CI {'pipelines' if trigger == 'pipeline_events' else 'jobs'}.", 422)
        if trigger == "pipeline_events":
            return hook_payloads.pipeline(pipelines[0], jobs, row, base, user)
        return hook_payloads.job(jobs[0], pipelines[0], row, base, user)
    if trigger in {"push_events", "tag_push_events"}:
        infos = await repository(request).log(row["default_branch"], limit=3)
        commits = [shapes.commit(info, row, base) for info in infos]
        ref = f"refs/heads/{row['default_branch']}" if trigger == "push_events" else "refs/tags/v1"
        return hook_payloads.push(ref, NOWHERE, infos[0].sha, commits, row, base, user)
    raise Invalid("trigger does not have a valid value")


@routes.get(ONE + "/events")
async def hook_events(request: web.Request) -> web.Response:
    """What was sent to the hook and what it answered, newest first; `status` chooses."""
    rows = request.app[FORGE].hooks.events(_hook(request))
    status = request.query.get("status")
    kinds = {"successful": "2", "client_failure": "4", "server_failure": "5"}
    if status:
        rows = [row for row in rows if row["response_status"].startswith(kinds.get(status, status))]
    hidden = {"hook_id"}
    return page(request, rows, lambda row: {key: value for key, value in row.items() if key not in hidden})


@routes.post(ONE + "/events/{event}/resend")
async def resend_event(request: web.Request) -> web.Response:
    """Send a past event again, under the same idempotency key."""
    hook, key = _hook(request), request.match_info["event"]
    events = request.app[FORGE].hooks.events(hook)
    found = next((row for row in events if str(row["id"]) == key), None)
    if found is None:
        raise NotFound("Web hook log")
    event = await request.app[FORGE].hooks.resend(hook, found)
    status = 201 if event["response_status"].startswith("2") else 422
    return web.json_response({"response_status": event["response_status"]}, status=status)


def _hook(request: web.Request) -> Hook:
    require(request, MAINTAINER)
    return Hook(record(request, "hook", "Hook"))


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """What a hook may have, in its own types."""
    fields: dict[str, Any] = {key: given[key] for key in TEXTS if key in given}
    switches = (*shapes_merge.EVENTS, "enable_ssl_verification")
    fields |= {key: truth(given[key]) for key in switches if key in given}
    if isinstance(given.get("custom_headers"), list):
        fields["custom_headers"] = [{"key": str(h["key"]), "value": str(h["value"])} for h in given["custom_headers"]]
    return fields
