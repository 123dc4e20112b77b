"""Server-sent events: every event once, whoever was away, however slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from services.gateway import feed
from services.gateway.feed import Feed
from shared.events import RepoSubmitted, RunFailed, new_run_id
from tests.gateway.conftest import DEADLINE, URL, Api, listening, until
from tests.gateway.story import healed

STREAM = {"Accept": "text/event-stream"}


class Client:
    """Reads one stream as a browser does."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        """Over the lines of an open stream."""
        self._lines = lines

    async def next(self) -> dict[str, Any]:
        """The next event, with its id and name; comments are passed over."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(DEADLINE):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line and name in {"id", "event", "data"}:
                    found[name] = value
                elif not line and "data" in found:
                    return {**json.loads(found["data"]), "id": int(found["id"]), "name": found["event"]}
        raise AssertionError("the stream ended")

    async def take(self, count: int) -> list[dict[str, Any]]:
        """The next so many."""
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def stream(api: Api, path: str, **headers: str) -> AsyncIterator[Client]:
    """An open stream."""
    sent = {**STREAM, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with api.client.stream("GET", f"/api/v1/{path}", headers=sent) as response:
        assert response.status_code == 200, await response.aread()
        yield Client(response.aiter_lines())


async def many(api: Api, count: int) -> list[int]:
    """So many events in the log; their sequences."""
    before = (await api.bus.extent()).last
    for _ in range(count):
        await api.submitted()
    return list(range(before + 1, before + count + 1))


async def test_a_run_is_followed_from_its_first_event_on(api: Api) -> None:
    """What was before the client came and what comes after, in one order; nothing of other runs."""
    story = healed(new_run_id())
    for event in story[:4]:
        await api.bus.publish(event, source="test")
    await api.submitted()
    async with stream(api, f"runs/{story[0].run_id}/events") as client:
        seen = await client.take(4)
        await api.submitted()
        for event in story[4:]:
            await api.bus.publish(event, source="test")
        seen += await client.take(5)
    assert [event["name"] for event in seen] == [event.type for event in story]
    assert all(event["id"] == event["sequence"] for event in seen)
    assert seen[0]["data"]["repo_url"] == story[0].model_dump()["repo_url"]


async def test_who_was_away_goes_on_after_the_last_event_that_it_has(api: Api) -> None:
    """By Last-Event-ID, which comes before what the address says."""
    sequences = await many(api, 5)
    async with stream(api, "events?after=0", Last_Event_ID=str(sequences[1])) as client:
        assert [event["id"] for event in await client.take(3)] == sequences[2:]
        more = await many(api, 2)
        assert [event["id"] for event in await client.take(2)] == more


async def test_without_a_position_a_stream_begins_now(api: Api) -> None:
    """What has happened is in the list of runs; `data=false` leaves the data out."""
    await many(api, 3)
    await until(lambda: api.gateway.feed.reached >= 3)
    async with stream(api, "events?data=false") as client:
        sequences = await many(api, 1)
        event = await client.next()
    assert event["id"] == sequences[0]
    assert "data" not in event
    assert event["run_id"]


async def test_nothing_is_lost_where_clients_come_in_the_middle(api: Api) -> None:
    """Streams that begin while events are published: each has every event once, in order."""
    publishing = asyncio.create_task(many(api, 200))

    async def follow() -> list[int]:
        async with stream(api, "events?after=0&data=false") as client:
            return [event["id"] for event in await client.take(200)]

    seen = []
    for _ in range(5):
        seen.append(asyncio.create_task(follow()))
        await until(lambda: publishing.done() or api.gateway.feed.reached > 30 * len(seen))
    sequences = await publishing
    assert [await one for one in seen] == [sequences] * 5


async def test_a_reader_that_is_too_slow_reads_the_log_again(api: Api) -> None:
    """What the gateway does not keep any more comes from the log: nothing lost, nothing twice, little kept."""
    small = Feed(api.bus, kept=10)
    await small.begin()
    running = asyncio.create_task(small.run())
    batches = small.after(0, idle=0.05)
    assert (await anext(batches)).entries == ()
    sequences = await many(api, 100)
    await until(lambda: small.reached == sequences[-1])
    assert len(small._entries) <= 10
    seen: list[int] = []
    async with asyncio.timeout(DEADLINE):
        while len(seen) < 100:
            seen += [entry.recorded.sequence for entry in (await anext(batches)).entries]
    await batches.aclose()
    running.cancel()
    assert seen == sequences


async def test_a_reader_of_one_run_misses_nothing_that_left_the_memory(api: Api) -> None:
    """Its own events lie far apart in a busy log."""
    small = Feed(api.bus, kept=10)
    await small.begin()
    running = asyncio.create_task(small.run())
    run_id = await api.submitted()
    batches = small.after(0, run_id, idle=0.05)
    first = await anext(batches)
    await many(api, 60)
    await api.bus.publish(RunFailed(run_id=run_id, phase="analyzer", reason="x"), source="test")
    last = (await many(api, 60))[-1]
    await until(lambda: small.reached == last)
    seen = [entry.recorded.event.type for entry in first.entries]
    async with asyncio.timeout(DEADLINE):
        while len(seen) < 2:
            seen += [entry.recorded.event.type for entry in (await anext(batches)).entries]
    await batches.aclose()
    running.cancel()
    assert seen == ["repo.submitted", "run.failed"]


async def test_large_events_are_not_all_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is bounded in bytes too."""
    monkeypatch.setattr(feed, "KEPT_BYTES", 500_000)
    small = Feed(api.bus)
    await small.begin()
    running = asyncio.create_task(small.run())
    for _ in range(20):
        await api.bus.publish(RunFailed(run_id=new_run_id(), phase="x", reason="x" * 100_000), source="test")
    await until(lambda: small.reached == 20)
    running.cancel()
    assert small._bytes <= 500_000


async def test_a_client_that_takes_nothing_is_let_go(nats: str) -> None:
    """It is cut off after the patience that is set, and its place is free."""
    async with listening(nats, gateway_stream_patience=0.3) as api:
        host, port = api.client.base_url.host, api.client.base_url.port
        reader, writer = await asyncio.open_connection(host, port, limit=1024)
        asked = f"GET /api/v1/events?after=0 HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
        writer.write(f"{asked}Authorization: Bearer a-token\r\n\r\n".encode())
        await until(lambda: api.gateway.streams.open == 1)
        for _ in range(100):
            await api.bus.publish(RunFailed(run_id=new_run_id(), phase="x", reason="x" * 200_000), source="test")
        await until(lambda: api.gateway.streams.open == 0)
        # What was sent before can still be read; then the connection is at its end, or broken off.
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()


async def test_there_are_only_so_many_streams(nats: str) -> None:
    """503 with the advice to wait; one that ends makes room."""
    async with listening(nats, gateway_streams=1) as api:
        async with stream(api, "events"):
            refused = await api.client.get("/api/v1/events", headers=STREAM)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        await until(lambda: api.gateway.streams.open == 0)
        async with stream(api, "events"):
            pass


async def test_an_id_that_is_none_is_refused(api: Api) -> None:
    """422 names the header."""
    answer = await api.client.get("/api/v1/events", headers={**STREAM, "Last-Event-ID": "yesterday"})
    assert (answer.status_code, "Last-Event-ID" in answer.json()["detail"]) == (422, True)


async def test_the_log_is_paged_as_json(api: Api) -> None:
    """From a position, so many at a time; at its end the position stays."""
    sequences = await many(api, 5)
    position, seen = 0, []
    while True:
        page = (await api.client.get("/api/v1/events", params={"after": position, "limit": 2})).json()
        seen += [event["sequence"] for event in page["events"]]
        if page["next"] == position:
            break
        position = page["next"]
    assert seen == sequences


async def test_foreign_bytes_in_the_log_end_no_stream(api: Api) -> None:
    """They are passed over, as the history does."""
    async with stream(api, "events?after=0") as client:
        await api.bus._js.publish("repo.analyzed.X.1", b"\xff")
        event = RepoSubmitted(run_id=new_run_id(), repo_url=URL)
        await api.bus.publish(event, source="test")
        assert (await client.next())["run_id"] == event.run_id
