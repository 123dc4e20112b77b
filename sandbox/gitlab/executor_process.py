"""One process group: its output as it comes, and its end with all that it started."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

CHUNK = 16 * 1024
GRACE_SECONDS = 0.5
# Unread output comes at once when the process is over; a child that keeps the pipe open is not waited for.
DRAIN_SECONDS = 0.5


async def run(
    argv: Sequence[str],
    output: Callable[[bytes], Awaitable[None]],
    *,
    stdin: bytes = b"",
    environment: Mapping[str, str],
    directory: Path | None = None,
) -> int:
    """The exit code; 128 and the signal where a signal ended it. Nothing of the group is left when this returns."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(environment),
        cwd=directory,
        start_new_session=True,
    )
    reading = asyncio.create_task(_read(process, output))
    try:
        await _feed(process, stdin)
        code = await process.wait()
        await asyncio.wait([reading], timeout=DRAIN_SECONDS)
    finally:
        await _end(process)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    return code if code >= 0 else 128 - code


async def _feed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    if process.stdin is not None:
        with suppress(ConnectionError):
            process.stdin.write(stdin)
            await process.stdin.drain()
        process.stdin.close()


async def _read(process: asyncio.subprocess.Process, output: Callable[[bytes], Awaitable[None]]) -> None:
    if process.stdout is not None:
        while chunk := await process.stdout.read(CHUNK):
            await output(chunk)


async def _end(process: asyncio.subprocess.Process) -> None:
    """The whole group: asked first, then killed; what a job left running in the background as well."""
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
