"""Signs of life for all deliveries in hand, from one task: however many they are, it is one round at a time."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nats.aio.msg import Msg

    from shared.bus import Bus


@dataclass(frozen=True, eq=False)
class InHand:
    """A delivery that is being worked on; `cancelled` is done once a person has ended its run."""

    msg: Msg
    run_id: str | None
    cancelled: asyncio.Future[None]


class Heartbeat:
    """Says every so many seconds that the deliveries are still in hand, and looks whether their runs go on."""

    def __init__(self, bus: Bus, every: float) -> None:
        """`every` in seconds."""
        self._bus = bus
        self._every = every
        self._held: set[InHand] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def holding(self, msg: Msg, run_id: str | None) -> Iterator[asyncio.Future[None]]:
        """Keep a delivery alive; the future is done when its run is cancelled."""
        held = InHand(msg, run_id, asyncio.get_running_loop().create_future())
        self._held.add(held)
        if self._task is None:
            self._task = asyncio.create_task(self._beat())
        try:
            yield held.cancelled
        finally:
            self._held.discard(held)
            if not self._held and self._task:
                self._task.cancel()
                self._task = None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            with suppress(Exception):  # disconnected now; the next beat may get through
                for held in tuple(self._held):
                    await held.msg.in_progress()
                over = await self._bus.cancelled()
                for held in self._held:
                    if held.run_id in over and not held.cancelled.done():
                        held.cancelled.set_result(None)
