"""Child processes that end with their parent, however the parent ends (`greenrun.leash`)."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

STOP_SECONDS = 10.0


@asynccontextmanager
async def leashed(
    argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """The running command, its output in `log`, which begins anew; it is ended with the context."""
    with log.open("wb") as output:
        process = await start(argv, output, environment)
    try:
        yield process
    finally:
        await stop(process)


async def start(argv: Sequence[str], output: IO[bytes], environment: Mapping[str, str] | None = None) -> Process:
    """The running command; `stop` ends it, and so does the end of this process."""
    leash = (sys.executable, "-m", "greenrun.leash", *argv)
    return await asyncio.create_subprocess_exec(
        *leash, stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output, env=environment
    )


async def stop(process: Process) -> None:
    """End the command by closing its leash."""
    if process.stdin is not None:
        process.stdin.close()
        with suppress(OSError):
            await process.stdin.wait_closed()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
