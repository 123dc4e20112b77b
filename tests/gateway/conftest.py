"""A gateway on a real NATS server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from greenrun import embedded
from services.gateway.service import connect
from services.gateway.settings import Settings
from services.gateway.state import Gateway
from shared.bus import Bus
from shared.events import Event, Submission, new_run_id

TOKEN = "a-token"
DEADLINE = 30.0
URL = "https://gitlab.example/a/b.git"


@dataclass(frozen=True)
class Api:
    """A client of the gateway with its token, the log behind it, and its inside."""

    client: httpx.AsyncClient
    bus: Bus
    gateway: Gateway

    async def submitted(self, url: str = URL) -> str:
        """A new run's id."""
        return (await self.bus.submit(Submission(repo_url=url), "test")).run_id

    async def happened(self, events: list[Event]) -> str:
        """The run of these events, which are in the log and in the list of runs."""
        for event in events:
            await self.bus.publish(event, source="test")
        await self.listed()
        return events[0].run_id

    async def listed(self) -> None:
        """Return once the list of runs has all that the log has."""
        last = (await self.bus.extent()).last
        await until(lambda: self.gateway.runs.sequence >= last)


async def until(reached: Callable[[], bool]) -> None:
    """Return once it is so; AssertionError where it takes too long."""
    async with asyncio.timeout(DEADLINE):
        while not reached():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(nats: str, *, provision: bool = True, token: str = TOKEN, **changes: Any) -> AsyncIterator[Api]:
    """A gateway on a free port; `token` is what its client sends."""
    settings = Settings(**{"nats_url": nats, "gateway_port": 0, "gateway_token": TOKEN, **changes})
    async with Bus.connect(settings, "gateway") as bus:
        if provision:
            await bus.provision()
        async with connect(settings, bus) as deps:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with httpx.AsyncClient(base_url=deps.url, headers=headers, timeout=DEADLINE) as client:
                yield Api(client, bus, deps.gateway)


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[str]:
    """A real NATS server."""
    async with embedded.nats_server(tmp_path / "nats") as url:
        yield url


@pytest.fixture
async def api(nats: str) -> AsyncIterator[Api]:
    """The gateway listening on a free port."""
    async with listening(nats) as api:
        yield api


def new_runs(count: int) -> list[str]:
    """Ids of runs, the oldest first."""
    return sorted(new_run_id() for _ in range(count))
