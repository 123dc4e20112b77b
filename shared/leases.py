"""Leases: what only one at a time should do, across all replicas of a service, and what frees it when a holder dies."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from shared.errors import Retry
from shared.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    # Key, seconds and the revision that is held (0: none) → the new revision, or None where somebody else holds it.
    Claim = Callable[[str, float, int], Awaitable[int | None]]
    GiveUp = Callable[[int], Awaitable[None]]

log = logger("leases")
LEASE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.1
LOOK_AGAIN_AT_MOST = 1.0


class LocalLeases:
    """Implements `shared.ports.Leases` for one process: whoever asks first has the key, the others wait in line."""

    def __init__(self) -> None:
        """Nothing is held."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def lease(self, key: str, seconds: float = LEASE_SECONDS) -> AsyncIterator[None]:  # noqa: ARG002 - the port's
        """Hold the key as long as the context is open."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            yield


@asynccontextmanager
async def held(claim: Claim, give_up: GiveUp, key: str, seconds: float) -> AsyncIterator[None]:
    """Hold the key over `claim`; it is renewed at a third of `seconds` and given up at the end."""
    holding = [await _gained(claim, key, seconds)]
    renewing = asyncio.create_task(_renew(claim, key, seconds, holding))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        # What cannot be given up now expires by itself.
        with suppress(Retry):
            await give_up(holding[0])


async def _gained(claim: Claim, key: str, seconds: float) -> int:
    """The revision, once nobody else holds the key."""
    waiting = LOOK_AGAIN_SECONDS
    while True:
        revision = await claim(key, seconds, 0)
        if revision is not None:
            return revision
        await asyncio.sleep(waiting)
        waiting = min(1.5 * waiting, LOOK_AGAIN_AT_MOST)


async def _renew(claim: Claim, key: str, seconds: float, holding: list[int]) -> None:
    """Say at a third of its life that the lease is still needed; end where it was lost.

    The holder is not told: what a lease guards must be right when done twice, and is only not worth it.
    """
    while True:
        await asyncio.sleep(seconds / 3)
        try:
            revision = await claim(key, seconds, holding[0])
        except Retry:
            continue
        if revision is None:
            log.warning("the lease was lost", key=key)
            return
        holding[0] = revision
