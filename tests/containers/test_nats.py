"""The contract of the log against NATS from its image: the tests of `tests/bus` with another server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import nats
import pytest

from tests.bus.conftest import bus, settings
from tests.bus.test_deliveries import *  # noqa: F403 - the same tests
from tests.bus.test_log import *  # noqa: F403
from tests.engine import NATS, Served, nats_ready, require, serving

__all__ = ["bus", "settings"]
# The engine's proxy takes connections for a server that is not up and drops them; nats-py leaves such a one unclosed.
DROPPED = "ignore:Exception ignored in.*StreamWriter.__del__:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings(DROPPED)]


class Server:
    """The server in its container, as the tests of the log use one."""

    def __init__(self, served: Served) -> None:
        """Over a running container."""
        self.url = f"nats://127.0.0.1:{served.port}"
        self._served = served

    async def start(self) -> None:
        """Up and ready."""
        await asyncio.to_thread(self._served.start)

    async def stop(self) -> None:
        """Gone; its data stays."""
        await asyncio.to_thread(self._served.stop)


@pytest.fixture(scope="module")
def container() -> Iterator[Server]:
    """NATS with JetStream, started once for all tests of this module."""
    require()
    with serving(NATS, 4222, nats_ready, command="-js -sd /tmp/jetstream") as served:
        yield Server(served)


@pytest.fixture
async def server(container: Server) -> Server:
    """The server with an empty log, as after its first start."""
    client = await nats.connect(container.url)
    try:
        stream = client.jetstream()
        for one in await stream.streams_info():
            await stream.delete_stream(one.config.name or "")
    finally:
        await client.close()
    return container
