"""Keeps the list of runs what the log says, and asks it: SQLite's work is done in threads of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from services.gateway.projection import Projection
from shared.errors import Retry
from shared.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from services.gateway.feed import Feed
    from services.gateway.projection import Page, Wanted
    from shared.bus import Bus, Recorded

# Events of one transaction while the log is read from its past.
BATCH = 1_000
IDLE_SECONDS = 60.0
AGAIN_SECONDS = 1.0
FILE = "runs.db"
T = TypeVar("T")
log = logger("projector")


class Projector:
    """One projection, written by one thread and read by another."""

    def __init__(self, projection: Projection) -> None:
        """Nothing is folded yet."""
        self._projection = projection
        self._writing = ThreadPoolExecutor(1, "projection-write")
        self._reading = ThreadPoolExecutor(1, "projection-read")
        self.sequence = 0

    async def follow(self, bus: Bus, feed: Feed) -> None:
        """Fold the log from where the file ends, and then what comes, for ever."""
        await feed.begin()
        while True:
            try:
                await self.catch_up(bus, feed.log, feed.first, feed.reached)
                async with aclosing(feed.after(self.sequence, idle=IDLE_SECONDS)) as batches:
                    async for batch in batches:
                        await self._apply([entry.recorded for entry in batch.entries], batch.position)
            except Retry as error:
                log.info("the list of runs waits for the log", reason=str(error))
            except sqlite3.Error as error:
                log.exception("the list of runs cannot be written", reason=str(error))
            await asyncio.sleep(AGAIN_SECONDS)

    async def catch_up(self, bus: Bus, log_id: str, first: int, last: int) -> None:
        """Fold what the log holds up to `last`; Retry where NATS is interrupted, and what was folded stays."""
        self.sequence = await self._write(lambda: self._projection.resume(log_id, first))
        records: list[Recorded] = []
        async with aclosing(bus.since(self.sequence)) as events:
            async for recorded in events:
                records.append(recorded)
                if len(records) >= BATCH:
                    await self._apply(records, recorded.sequence)
                    records = []
        await self._apply(records, max(last, *(recorded.sequence for recorded in records[-1:]), self.sequence))

    async def page(self, wanted: Wanted, limit: int, cursor: str | None) -> Page:
        """A page of the list as it is now."""
        return await self._read(lambda: self._projection.page(wanted, limit, cursor))

    async def counts(self) -> dict[str, int]:
        """The number of runs by status."""
        return await self._read(self._projection.counts)

    async def close(self) -> None:
        """Let what is being read and written end."""
        await asyncio.to_thread(self._writing.shutdown)
        await asyncio.to_thread(self._reading.shutdown)

    async def _apply(self, records: list[Recorded], sequence: int) -> None:
        await self._write(lambda: self._projection.apply(records, sequence))
        self.sequence = max(self.sequence, sequence)

    async def _write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writing, work)

    async def _read(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, work)
        except sqlite3.Error as error:
            raise Retry(f"the list of runs cannot be read: {error}") from error


@asynccontextmanager
async def connect(folder: str) -> AsyncIterator[Projector]:
    """The projection in a folder; empty: one of its own that ends with it. Reject where it cannot be kept there."""
    with TemporaryDirectory(prefix="greenrun-gateway-") as scratch, Projection(Path(folder or scratch) / FILE) as kept:
        projector = Projector(kept)
        try:
            yield projector
        finally:
            await projector.close()


async def rebuild(folder: Path, bus: Bus) -> int:
    """Fold the whole log anew (`greenrun replay`); the sequence reached. Reject where a gateway has the file open."""
    extent = await bus.extent()
    with Projection(folder / FILE) as held:
        held.forget()
        projector = Projector(held)
        try:
            await projector.catch_up(bus, extent.log, extent.first, extent.last)
        finally:
            await projector.close()
        return projector.sequence
