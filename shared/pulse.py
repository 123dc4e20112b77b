"""The signs of life of one service: it says in a file how it is, every two seconds or more often.

The age of the file shows that the event loop turns; what is in it, whether NATS and the consumers answer.
`shared.health` reads it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.errors import GreenrunError
from shared.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shared.bus import Bus

LONGEST_PAUSE = 2.0
log = logger("pulse")


class Pulse:
    """What a service says of itself. Until `bus` is set it is starting, which is not yet well."""

    def __init__(self, path: Path, service: str, grace: float) -> None:
        """`grace` in seconds: what lasts no longer is not worth a word."""
        self._path = path
        self._service = service
        self._grace = grace
        self.bus: Bus | None = None

    def say(self) -> None:
        """Write how the service is; a reader sees the old words or the new ones, never half of them."""
        starting = [f"{self._service} is starting: NATS, or what the service itself needs, has not answered yet"]
        problems = starting if self.bus is None else self.bus.ailments(self._grace)
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_text(json.dumps({"service": self._service, "grace": self._grace, "problems": problems}))
        fresh.replace(self._path)

    async def beat(self) -> None:
        """Say it again and again."""
        while True:
            await asyncio.sleep(min(self._grace / 4, LONGEST_PAUSE))
            try:
                self.say()
            except OSError as error:
                log.warning("the health file cannot be written", path=str(self._path), error=str(error))


@asynccontextmanager
async def beating(path: Path | None, service: str, grace: float) -> AsyncIterator[Pulse | None]:
    """A pulse in this file, which is removed at the end; None where no file is wanted.

    Raises GreenrunError where the file cannot be written.
    """
    if path is None:
        yield None
        return
    pulse = Pulse(path, service, grace)
    try:
        pulse.say()
    except OSError as error:
        raise GreenrunError(f"HEALTH_FILE {path} cannot be written: {error.strerror}") from error
    task = asyncio.create_task(pulse.beat())
    try:
        yield pulse
    finally:
        task.cancel()
        await asyncio.wait({task})
        path.unlink(missing_ok=True)
