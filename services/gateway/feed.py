"""The newest part of the log in memory, shared by all who follow it; what is older is read from the log itself.

Who follows holds nothing but a position. One that is too slow for what is kept here reads the log again from its
position: nothing is lost, nothing comes twice, and no reader can make the gateway's memory grow.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from services.gateway import decide
from shared.errors import Reject, Retry
from shared.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from shared.bus import Bus, Recorded

EVERY_RUN = "*"
KEPT_EVENTS = 2_000
KEPT_BYTES = 16 * 1024 * 1024
BATCH = 200
BATCH_BYTES = 1024 * 1024
# Readers are woken together, so that one that follows a busy log is woken less often than events come.
GATHER_SECONDS = 0.02
AGAIN_SECONDS = 0.5
CATCHING_UP_AT_ONCE = 8
log = logger("feed")


@dataclass(frozen=True)
class Entry:
    """One event, and its message to a browser: made once, however many listen."""

    recorded: Recorded

    @cached_property
    def whole(self) -> bytes:
        """The server-sent event with the event's data."""
        return self._frame(data=True)

    @cached_property
    def brief(self) -> bytes:
        """The server-sent event without the event's data."""
        return self._frame(data=False)

    def _frame(self, *, data: bool) -> bytes:
        recorded = self.recorded
        document = json.dumps(decide.event_document(recorded, data=data), separators=(",", ":"))
        return f"id: {recorded.sequence}\nevent: {recorded.event.type}\ndata: {document}\n\n".encode()


@dataclass(frozen=True)
class Batch:
    """Events in the order of the log; all that the reader wants up to `position` was given with it."""

    position: int
    entries: tuple[Entry, ...] = ()


class Feed:
    """Follows the log once for one gateway. Use `run` as a task beside the readers."""

    def __init__(self, bus: Bus, *, kept: int = KEPT_EVENTS) -> None:
        """Nothing is read yet."""
        self._bus = bus
        self._kept = kept
        self._entries: list[Entry] = []
        self._sequences: list[int] = []
        self._bytes = 0
        self._floor = 0
        self._begun = asyncio.Event()
        self._news = asyncio.Event()
        self._waking: asyncio.TimerHandle | None = None
        self._catching_up = asyncio.Semaphore(CATCHING_UP_AT_ONCE)
        self.log = ""
        self.first = 1
        self.reached = 0

    async def run(self) -> None:
        """Wait for the log, and take in every event from where it ends then, for ever."""
        await self.begin()
        async with aclosing(self._bus.tail(from_sequence=self.reached + 1)) as events:
            async for recorded in events:
                self._take(recorded)

    async def begin(self) -> None:
        """Look where the log ends, once it is there; what comes after it is kept here."""
        while not self.log:
            try:
                extent = await self._bus.extent()
            except (Retry, Reject) as error:
                log.info("waiting for the log", reason=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            self._floor = self.reached = extent.last
            self.log, self.first = extent.log, extent.first
            self._begun.set()

    async def begun(self, seconds: float) -> None:
        """Return once it is known where the log ends; Retry where that takes longer."""
        if not await _within(self._begun, seconds):
            raise Retry("the log is not there yet")

    async def after(self, position: int, run_id: str = EVERY_RUN, *, idle: float) -> AsyncGenerator[Batch, None]:
        """Batches of the events after a sequence, for ever; an empty one after so many seconds without any.

        Goes on by itself after NATS was away.
        """
        while True:
            news = self._news
            if position < self._floor:
                batch = await self._from_log(position, run_id)
                if batch.position == position:
                    await asyncio.sleep(AGAIN_SECONDS)
                position = batch.position
                yield batch
            elif entries := self._kept_after(position):
                position = entries[-1].recorded.sequence
                mine = tuple(e for e in entries if run_id in (EVERY_RUN, e.recorded.event.run_id))
                if mine:
                    yield Batch(position, mine)
            elif not await _within(news, idle):
                yield Batch(position)

    def _kept_after(self, position: int) -> list[Entry]:
        start = bisect_right(self._sequences, position)
        return self._entries[start : start + BATCH]

    async def _from_log(self, position: int, run_id: str) -> Batch:
        """The next events that the log has, or a step to where the feed stands; no step while NATS is away.

        Only so many readers do this at once, and none of them while its client takes what was read.
        """
        reached, entries, size = self.reached, [], 0
        try:
            async with self._catching_up, aclosing(self._bus.since(position, run_id)) as events:
                async for recorded in events:
                    entries.append(Entry(recorded))
                    size += recorded.size
                    if len(entries) >= BATCH or size >= BATCH_BYTES:
                        return Batch(recorded.sequence, tuple(entries))
        except Retry as error:
            log.debug("the log cannot be read now", reason=str(error))
            return Batch(entries[-1].recorded.sequence if entries else position, tuple(entries))
        return Batch(max(reached, position, *(e.recorded.sequence for e in entries[-1:])), tuple(entries))

    def _take(self, recorded: Recorded) -> None:
        if recorded.sequence <= self.reached:
            return
        self._entries.append(Entry(recorded))
        self._sequences.append(recorded.sequence)
        self._bytes += recorded.size
        self.reached = recorded.sequence
        if len(self._entries) > self._kept or self._bytes > KEPT_BYTES:
            self._forget(len(self._entries) // 2)
        if self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._wake)

    def _forget(self, count: int) -> None:
        """Leave the oldest to the log."""
        self._floor = self._sequences[count - 1] if count else self._floor
        self._bytes -= sum(entry.recorded.size for entry in self._entries[:count])
        del self._entries[:count], self._sequences[:count]

    def _wake(self) -> None:
        self._waking = None
        self._news.set()
        self._news = asyncio.Event()


async def _within(news: asyncio.Event, seconds: float) -> bool:
    """Whether it was set in time."""
    try:
        async with asyncio.timeout(seconds):
            return await news.wait()
    except TimeoutError:
        return False
