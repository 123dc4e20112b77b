"""Events as JSON, or as server-sent events whose id is the sequence of the log: who was away misses nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway import decide
from services.gateway.documents import EventsQuery, RunEventsQuery
from services.gateway.feed import EVERY_RUN
from services.gateway.state import GATEWAY, history

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.gateway.feed import Batch
    from services.gateway.state import Gateway

MEDIA_TYPE = "text/event-stream"
# A comment now and then tells the client, and all between, that the stream lives.
BEAT_SECONDS = 15.0
# How soon it is seen that a client has gone.
LOOK_SECONDS = 1.0
# How long a stream waits for a gateway that has just started.
BEGIN_SECONDS = 2.0
BEAT = b": beat\n\n"
BEGIN = b"retry: 2000\n\n"
HEADERS = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def run_events(request: web.Request) -> web.StreamResponse:
    """The events of one run: all there are as JSON, or all there are and will be as a stream."""
    query = decide.query_of(RunEventsQuery, request.query)
    records = await history(request)
    after = decide.position_of(request.headers.get("Last-Event-ID"), query.after) or 0
    if _wants_stream(request):
        return await _stream(request, after, request.match_info["run_id"], data=query.data)
    listed = [recorded for recorded in records if recorded.sequence > after]
    return web.json_response([decide.event_document(recorded, data=query.data) for recorded in listed])


async def all_events(request: web.Request) -> web.StreamResponse:
    """A page of the log as JSON, or what comes from now on, or from a position on, as a stream."""
    query = decide.query_of(EventsQuery, request.query)
    gateway, after = request.app[GATEWAY], decide.position_of(request.headers.get("Last-Event-ID"), query.after)
    if _wants_stream(request):
        await gateway.feed.begun(BEGIN_SECONDS)
        return await _stream(request, gateway.feed.reached if after is None else after, EVERY_RUN, data=query.data)
    return await _page(gateway, after or 0, query)


async def _page(gateway: Gateway, position: int, query: EventsQuery) -> web.Response:
    """At most so many events after a sequence."""
    listed = []
    async with aclosing(gateway.bus.since(position)) as events:
        async for recorded in events:
            listed.append(decide.event_document(recorded, data=query.data))
            position = recorded.sequence
            if len(listed) >= query.limit:
                break
    return web.json_response({"events": listed, "next": position})


def _wants_stream(request: web.Request) -> bool:
    return MEDIA_TYPE in request.headers.get("Accept", "")


async def _stream(request: web.Request, position: int, run_id: str, *, data: bool) -> web.StreamResponse:
    """Everything after the position, until the client goes, or takes nothing for too long, or the gateway ends."""
    gateway = request.app[GATEWAY]
    with gateway.streams.one():
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        await response.write(BEGIN)
        try:
            async with aclosing(gateway.feed.after(position, run_id, idle=LOOK_SECONDS)) as batches:
                async for said in _said(batches, data=data):
                    if request.transport is None or request.transport.is_closing():
                        break
                    if said:
                        async with asyncio.timeout(gateway.settings.gateway_stream_patience):
                            await response.write(said)
        except TimeoutError:
            # What it has not taken is in the log; it comes back with the id of the last event that it has.
            if request.transport:
                request.transport.abort()
        except ConnectionError:
            pass
        return response


async def _said(batches: AsyncIterator[Batch], *, data: bool) -> AsyncIterator[bytes]:
    """What to write: events as they come, a beat where there were none for long, else nothing."""
    spoke = time.monotonic()
    async for batch in batches:
        said = b"".join(entry.whole if data else entry.brief for entry in batch.entries)
        if not said and time.monotonic() - spoke >= BEAT_SECONDS:
            said = BEAT
        spoke = time.monotonic() if said else spoke
        yield said
