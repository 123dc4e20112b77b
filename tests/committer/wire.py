"""A TCP proxy before GitLab that loses, delays or resets what goes over the wire."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

COMMIT = b"POST /api/v4/projects/1/repository/commits "
Fault = Literal["", "reset before", "drop answer", "reset answer", "half an answer", "delay answer"]


@dataclass
class Wire:
    """What happens to the next commits on their way, `times` often; `commits` counts those that went on to GitLab."""

    url: str = ""
    fault: Fault = ""
    times: int = 1
    commits: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    def strikes(self) -> bool:
        """Whether the fault is due for the commit that is on the wire now."""
        if not self.fault or self.times == 0:
            return False
        self.times -= 1
        return True


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[Wire]:
    """A proxy before the server at this URL."""
    host, port = url.removeprefix("http://").split(":")
    wire = Wire()
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        task.add_done_callback(connections.discard)
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        with suppress(ConnectionError, asyncio.CancelledError):
            await _relay(wire, (reader, writer), (up_reader, up_writer))
        for one in (writer, up_writer):
            one.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        wire.enough.set()
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _relay(wire: Wire, client: Stream, server: Stream) -> None:
    """Both directions until one ends."""
    struck = asyncio.Event()

    async def there(data: bytes) -> bytes:
        if COMMIT in data and wire.strikes():
            if wire.fault == "reset before":
                _reset(client[1])
                raise ConnectionResetError
            struck.set()
        wire.commits += data.count(COMMIT)
        return data

    async def back(data: bytes) -> bytes:
        # The answer is there, so GitLab has made the commit.
        if struck.is_set():
            await _spoil(wire, client[1], data)
        return data

    tasks = {
        asyncio.create_task(_pump(client[0], server[1], there)),
        asyncio.create_task(_pump(server[0], client[1], back)),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _spoil(wire: Wire, writer: asyncio.StreamWriter, data: bytes) -> None:
    if wire.fault == "delay answer":
        await wire.enough.wait()
    if wire.fault == "half an answer":
        writer.write(data[: len(data) // 2])
        await writer.drain()
    if wire.fault == "reset answer":
        _reset(writer)
    raise ConnectionAbortedError


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Callable[[bytes], Awaitable[bytes]]
) -> None:
    while data := await reader.read(65536):
        writer.write(await seen(data))
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: what was not read is lost on the other side too."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
