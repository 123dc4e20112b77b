"""What says how the gateway itself is: probes and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway.reading import behind
from services.gateway.state import GATEWAY

if TYPE_CHECKING:
    from services.gateway.state import Gateway


async def healthy(_request: web.Request) -> web.Response:
    """The process answers."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """Whether the streams and consumers are there; 503 lists what is missing."""
    problems = await request.app[GATEWAY].bus.provisioned()
    return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)


async def metrics(request: web.Request) -> web.Response:
    """Requests, streams, runs by status, and how far the list of runs is behind the log."""
    gateway: Gateway = request.app[GATEWAY]
    sequence = gateway.runs.sequence
    return gateway.metrics.text(
        streams=gateway.streams.open,
        sequence=sequence,
        lag=behind(gateway, sequence),
        runs=await gateway.runs.counts(),
    )
