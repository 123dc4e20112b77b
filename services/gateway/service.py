"""Gateway: takes submissions over HTTP and shows runs; it reads the log and publishes what people ask for."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway import decide, openapi, projector, reading
from services.gateway.access import Access
from services.gateway.feed import Feed
from services.gateway.limits import Rate, Streams
from services.gateway.metrics import Metrics
from services.gateway.problems import problems
from services.gateway.routes import API, ENDPOINTS
from services.gateway.settings import Settings
from services.gateway.state import CALLER, GATEWAY, Gateway
from services.gateway.webhooks import Webhooks
from shared.adapters.templates import ChromaTemplates
from shared.ending import over
from shared.errors import Reject
from shared.logging import logger
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from services.gateway.problems import Handler
    from shared.bus import Bus
    from shared.tokens import Role

AGAIN_SECONDS = 1.0
# Streams that are open at the end are cut: their clients come back by themselves.
END_SECONDS = 1.0
log = logger("gateway")


@dataclass(frozen=True)
class Deps:
    """The address that the API answers on, and all that it works with."""

    url: str
    gateway: Gateway


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """The API, listening; Reject where it would be open to the network, or cannot listen or keep its list there."""
    refusal = decide.refusal_to_listen(settings.gateway_host, authenticates=settings.authenticates)
    if refusal:
        raise Reject(refusal)
    async with AsyncExitStack() as stack:
        gateway = await _gateway(settings, bus, stack)
        runner = web.AppRunner(application(gateway), access_log=None, shutdown_timeout=END_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, settings.gateway_host, settings.gateway_port).start()
        except OSError as error:
            where = f"{settings.gateway_host}:{settings.gateway_port}"
            raise Reject(f"the gateway cannot listen on {where}: {error.strerror}; set GATEWAY_PORT") from error
        runs = gateway.runs
        works = (gateway.feed.run, lambda: runs.follow(bus, gateway.feed))
        tasks = [asyncio.create_task(_always(work)) for work in works]
        try:
            yield Deps(f"http://{settings.gateway_host}:{runner.addresses[0][1]}", gateway)
        finally:
            await over(*tasks)


async def _gateway(settings: Settings, bus: Bus, stack: AsyncExitStack) -> Gateway:
    """Its parts; nothing is asked of the log or of Chroma yet."""
    return Gateway(
        settings=settings,
        bus=bus,
        feed=Feed(bus),
        runs=await stack.enter_async_context(projector.connect(settings.gateway_data)),
        templates=await stack.enter_async_context(ChromaTemplates.connect(settings)),
        access=Access(bus, settings.gateway_token.get_secret_value(), open_=not settings.authenticates),
        rate=Rate(settings.gateway_rate),
        streams=Streams(settings.gateway_streams),
        metrics=Metrics(),
        webhooks=Webhooks(bus, settings.webhook_secret.get_secret_value()),
    )


async def _always(work: Callable[[], Awaitable[None]]) -> None:
    """Begin again whatever happens: a gateway that has stopped to follow the log would tell old news for ever."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("the gateway could not follow the log, and begins again")
        await asyncio.sleep(AGAIN_SECONDS)


def application(gateway: Gateway) -> web.Application:
    """The routes of the API, as the table of endpoints has them."""
    middlewares = [gateway.metrics.middleware, problems]
    app = web.Application(client_max_size=gateway.settings.gateway_max_body, middlewares=middlewares)
    app[GATEWAY] = gateway
    for endpoint in ENDPOINTS:
        handler = _guarded(endpoint.handler or gateway.webhooks.take, endpoint.role)
        _add(app, endpoint.method, endpoint.path, handler, heads=not endpoint.streams)
    # The link in commits and merge requests (PortalSettings.run_name).
    _add(app, "GET", "/runs/{run_id}", _guarded(reading.show_run, "viewer"))
    text = json.dumps(openapi.document())

    async def described(_request: web.Request) -> web.Response:
        """The OpenAPI document; it has no secrets."""
        return web.json_response(text=text)

    _add(app, "GET", f"{API}/openapi.json", described)
    return app


def _add(app: web.Application, method: str, path: str, handler: Handler, *, heads: bool = True) -> None:
    pattern = path.replace("{job}", r"{job:\d{1,15}}")
    if method == "GET":
        app.router.add_get(pattern, handler, allow_head=heads)
    else:
        app.router.add_route(method, pattern, handler)


def _guarded(handler: Handler, role: Role | None) -> Handler:
    """The handler behind the limits and for those who have the role; None: for everybody."""
    if role is None:
        return handler

    async def guarded(request: web.Request) -> web.StreamResponse:
        """Refused before anything is read of the body."""
        gateway = request.app[GATEWAY]
        caller = await gateway.access.caller(request.method, request.headers, role)
        gateway.rate.take(caller.key)
        request[CALLER] = caller
        return await handler(request)

    return guarded


service: Service[Settings, Deps] = Service("gateway", Settings, connect, {})
