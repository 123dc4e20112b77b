"""A gateway on a real NATS server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from greenrun import embedded
from services.gateway.service import connect
from services.gateway.settings import Settings
from shared.bus import Bus

TOKEN = "a-token"


@dataclass(frozen=True)
class Api:
    """A client of the gateway with its token, and the log behind it."""

    client: httpx.AsyncClient
    bus: Bus


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """The gateway listening on a free port."""
    async with embedded.nats_server(tmp_path / "nats") as url:
        settings = Settings(nats_url=url, gateway_port=0, gateway_token=TOKEN)
        async with Bus.connect(settings, "gateway") as bus:
            await bus.provision()
            async with connect(settings, bus) as deps:
                headers = {"Authorization": f"Bearer {TOKEN}"}
                async with httpx.AsyncClient(base_url=deps.url, headers=headers, timeout=10) as client:
                    yield Api(client, bus)
