"""A real NATS server that a test can kill and restart, and a small service to run on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenrun import embedded
from shared.bus import Bus, Recorded
from shared.events import Event, RepoAnalyzed, RepoSubmitted, Submission
from shared.run import serve
from shared.service import Answer, Service
from shared.settings import CommonSettings
from tests.facts import FLASK

DEADLINE = 30.0
URL = "https://gitlab.example/a/b.git"


class Server:
    """A NATS server on one port and one folder, through any number of restarts."""

    def __init__(self, data: Path) -> None:
        """Not started yet."""
        self.data = data
        self.port = embedded.free_port()
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        """Its address, the same after a restart."""
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Up and ready."""
        await self._stack.enter_async_context(embedded.nats_server(self.data, port=self.port))

    async def stop(self) -> None:
        """Gone; its data stays."""
        await self._stack.aclose()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that is up."""
    server = Server(tmp_path / "nats")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def settings(server: Server) -> CommonSettings:
    """Quick retries on the test's server."""
    return quick(server)


def quick(server: Server, **changes: Any) -> CommonSettings:
    """Settings with short delays, so that a test waits for events and not for time."""
    values: dict[str, Any] = {"nats_url": server.url, "retry_base": 0.01, "retry_cap": 0.05, "ack_wait": 1.0}
    return CommonSettings(**{**values, "max_deliveries": 4, **changes})


@pytest.fixture
async def bus(settings: CommonSettings) -> AsyncIterator[Bus]:
    """A provisioned log."""
    async with Bus.connect(settings, "test") as bus:
        await bus.provision()
        yield bus


def analyzed(event: RepoSubmitted) -> RepoAnalyzed:
    """What a working analyzer answers."""
    return RepoAnalyzed(
        run_id=event.run_id, attempt=event.attempt, submission=event.submission, commit_sha="0" * 40, analysis=FLASK
    )


@dataclass
class Handler:
    """A handler of `repo.submitted` that does what the script says, one entry per call, then answers."""

    script: list[Exception | Callable[[], Awaitable[None]]] = field(default_factory=list)
    calls: list[RepoSubmitted] = field(default_factory=list)

    async def __call__(self, event: RepoSubmitted, _deps: None) -> Answer:
        """The next entry of the script: raise it, or await it."""
        self.calls.append(event)
        if self.script:
            step = self.script.pop(0)
            if isinstance(step, Exception):
                raise step
            await step()
        return analyzed(event)


@asynccontextmanager
async def running(
    settings: CommonSettings, handler: Callable[..., Awaitable[Answer]], *, bus: Bus | None = None
) -> AsyncIterator[asyncio.Event]:
    """The analyzer's place in the topology, with this handler; the event that stops it."""

    @asynccontextmanager
    async def connect(_settings: CommonSettings, _bus: Bus) -> AsyncIterator[None]:
        yield None

    service: Service[CommonSettings, None] = Service("analyzer", CommonSettings, connect, {RepoSubmitted: handler})
    stop = asyncio.Event()
    task = asyncio.create_task(serve(service, settings, stop=stop, bus=bus))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, DEADLINE)


async def submitted(bus: Bus) -> str:
    """A new run's id."""
    return (await bus.submit(Submission(repo_url=URL), "test")).run_id


async def until(bus: Bus, run_id: str, event_type: str) -> list[Recorded]:
    """The events of a run up to the first of this type."""
    records = []
    async with asyncio.timeout(DEADLINE):
        async for recorded in bus.tail(run_id=run_id):
            records.append(recorded)
            if recorded.event.type == event_type:
                break
    return records


async def settled(bus: Bus, consumer: str = "analyzer") -> None:
    """Return once no delivery of the consumer is pending or in hand."""
    async with asyncio.timeout(DEADLINE):
        while True:
            info = await bus._js.consumer_info("EVENTS", consumer)
            if not info.num_pending and not info.num_ack_pending:
                return
            await asyncio.sleep(0.02)


def kinds(records: list[Recorded]) -> list[str]:
    """The types in order."""
    return [recorded.event.type for recorded in records]


def last(records: list[Recorded]) -> Event:
    """The newest event."""
    return records[-1].event
