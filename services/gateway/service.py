"""Gateway: takes submissions over HTTP and shows runs; it reads the log and publishes `repo.submitted`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from services.gateway import decide, webhooks
from services.gateway.settings import Settings
from shared.bus import Bus
from shared.errors import Reject, Retry
from shared.events import RepoSubmitted
from shared.history import fold
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from shared.bus import Recorded

BUS = web.AppKey("bus", Bus)
TOKEN = web.AppKey("token", str)
# A webhook has no bearer token but its own secret.
OPEN_PATHS = frozenset({"/healthz", "/readyz", webhooks.PATH})


@dataclass(frozen=True)
class Deps:
    """The address that the API answers on."""

    url: str


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """The API, listening; Reject where it would be open to the network without a token."""
    refusal = decide.refusal_to_listen(settings.gateway_host, settings.gateway_token.get_secret_value())
    if refusal:
        raise Reject(refusal)
    runner = web.AppRunner(application(settings, bus), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.gateway_host, settings.gateway_port)
        await site.start()
        port = runner.addresses[0][1]
        yield Deps(f"http://{settings.gateway_host}:{port}")
    finally:
        await runner.cleanup()


def application(settings: Settings, bus: Bus) -> web.Application:
    """The routes of the API over one bus."""
    app = web.Application(client_max_size=settings.gateway_max_body, middlewares=[_problems, _authorization])
    app[BUS] = bus
    app[TOKEN] = settings.gateway_token.get_secret_value()
    app.router.add_post("/api/v1/pipeline/workflow", submit)
    app.router.add_get("/api/v1/runs/{run_id}", show_run)
    app.router.add_get("/api/v1/runs/{run_id}/events", show_events)
    # The link in commits and merge requests (PortalSettings.run_name).
    app.router.add_get("/runs/{run_id}", show_run)
    hooks = webhooks.Webhooks(bus, settings.webhook_secret.get_secret_value())
    app.router.add_post(webhooks.PATH, hooks.take)
    app.router.add_get("/healthz", healthy)
    app.router.add_get("/readyz", ready)
    return app


async def submit(request: web.Request) -> web.Response:
    """202 with the run's id and links; the event is in the log before the answer is sent."""
    submission = decide.submission_of(await request.read())
    event = await request.app[BUS].submit(submission, "gateway")
    answer = decide.accepted(event)
    return web.json_response(answer, status=202, headers={"Location": answer["links"]["self"]})


async def show_run(request: web.Request) -> web.Response:
    """The state of one run, folded from its events."""
    return web.json_response(decide.run_document(fold(await _history(request))))


async def show_events(request: web.Request) -> web.Response:
    """All events of one run in the order of the log."""
    return web.json_response([decide.event_document(recorded) for recorded in await _history(request)])


async def healthy(_request: web.Request) -> web.Response:
    """The process answers."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """Whether the streams and consumers are there; 503 lists what is missing."""
    problems = await request.app[BUS].provisioned()
    return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)


async def _history(request: web.Request) -> list[Recorded]:
    run_id = request.match_info["run_id"]
    records = await request.app[BUS].history(run_id) if run_id.isalnum() else []
    if not any(isinstance(recorded.event, RepoSubmitted) for recorded in records):
        raise web.HTTPNotFound(reason=f"there is no run {run_id[:40]}" if run_id.isalnum() else "not a run id")
    return records


@web.middleware
async def _authorization(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    header = request.headers.get("Authorization")
    if request.path not in OPEN_PATHS and not decide.authorized(header, request.app[TOKEN]):
        return _problem(401, "Unauthorized", "send the header 'Authorization: Bearer <token>'")
    return await handler(request)


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every error is answered as problem details."""
    try:
        return await handler(request)
    except decide.BadRequest as error:
        return _problem(422, "Unprocessable Content", str(error))
    except Retry as error:
        return _problem(503, "Service Unavailable", f"{error}; the request was not taken, send it again later")
    except web.HTTPException as error:
        return _problem(error.status, type(error).__name__.removeprefix("HTTP"), error.reason)


def _problem(status: int, title: str, detail: str) -> web.Response:
    body: dict[str, Any] = decide.problem(status, title, detail)
    return web.json_response(body, status=status, content_type="application/problem+json")


service: Service[Settings, Deps] = Service("gateway", Settings, connect, {})
