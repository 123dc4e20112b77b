"""The pull loop: asks a consumer for as many deliveries as there are free hands, and notices when it goes deaf.

nats-py's `fetch` hears nothing for its whole timeout after a server restart. Here one pull request is under way at a
time; the server sends idle heartbeats for it, and when they stop the request is made again.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from shared.logging import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.client import Client
    from nats.aio.msg import Msg

HEARTBEAT_SECONDS = 0.5
DEAF_SECONDS = 2.5 * HEARTBEAT_SECONDS
EXPIRES_SECONDS = 30.0
NANOSECONDS = 1_000_000_000
HEARTBEAT_STATUS = "100"
# Nothing is there, or the request has run its time: answers of a consumer that is well.
NOTHING_STATUSES = frozenset({"404", "408"})
log = logger("pull")


class PullLoop:
    """Deliveries of one durable consumer, handled by at most `concurrency` tasks at once."""

    def __init__(
        self, client: Client, stream: str, durable: str, handle: Callable[[Msg], Awaitable[None]], concurrency: int
    ) -> None:
        """Nothing is asked for yet."""
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self.durable = durable
        self._handle = handle
        self._concurrency = concurrency
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._hands: set[asyncio.Task[None]] = set()
        self._outstanding = 0
        self._heard = monotonic()

    def silence(self) -> float:
        """Seconds since the consumer answered, or since all hands were full and nothing was asked."""
        return monotonic() - self._heard

    async def run(self, stop: asyncio.Event, *, gives_back: bool = False) -> None:
        """Until `stop`: then give back what has not been begun, and finish what is in hand, or cancel that too."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(f"{inbox}.*", cb=self._arrived.put)
        waker = asyncio.create_task(self._wake_at(stop))
        request = 0
        try:
            while not stop.is_set():
                free = self._concurrency - len(self._hands)
                if self._outstanding == 0 and free > 0:
                    request += 1
                    await self._ask(f"{inbox}.{request}", free)
                elif free <= 0:
                    self._heard = monotonic()
                await self._take()
        finally:
            waker.cancel()
            with suppress(Exception):
                await subscription.unsubscribe()
            await self._drain(gives_back=gives_back)

    async def _ask(self, reply: str, batch: int) -> None:
        body = {
            "batch": batch,
            "expires": int(EXPIRES_SECONDS * NANOSECONDS),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * NANOSECONDS),
        }
        with suppress(Exception):  # disconnected: the silence that follows makes the loop ask again
            await self._client.publish(self._next, json.dumps(body).encode(), reply=reply)
        self._outstanding = batch

    async def _take(self) -> None:
        """One arrival: a delivery is begun, a status is heeded, silence ends the request that is under way."""
        try:
            msg = await asyncio.wait_for(self._arrived.get(), DEAF_SECONDS)
        except TimeoutError:
            self._outstanding = 0
            return
        if msg is None:
            return
        status = (msg.headers or {}).get("Status")
        if status is None or status == HEARTBEAT_STATUS or status in NOTHING_STATUSES:
            self._heard = monotonic()
        if status is None:
            self._outstanding = max(0, self._outstanding - 1)
            self._begin(msg)
        elif status != HEARTBEAT_STATUS:
            await self._heed(status, (msg.headers or {}).get("Description", ""))

    async def _heed(self, status: str, description: str) -> None:
        """The request is over: expired, or refused because the consumer is not there (yet)."""
        self._outstanding = 0
        if status not in NOTHING_STATUSES:
            log.debug("pull request ended", consumer=self.durable, status=status, description=description)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def _begin(self, msg: Msg) -> None:
        task = asyncio.create_task(self._finish(msg))
        self._hands.add(task)
        task.add_done_callback(self._freed)

    async def _finish(self, msg: Msg) -> None:
        try:
            await self._handle(msg)
        except Exception:  # the delivery comes again after ack_wait; the loop must live on
            log.exception("a delivery could not be settled", subject=msg.subject)

    def _freed(self, task: asyncio.Task[None]) -> None:
        self._hands.discard(task)
        self._arrived.put_nowait(None)

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._arrived.put_nowait(None)

    async def _drain(self, *, gives_back: bool) -> None:
        while not self._arrived.empty():
            msg = self._arrived.get_nowait()
            if msg is not None and (msg.headers or {}).get("Status") is None:
                with suppress(Exception):
                    await msg.nak()
        if gives_back:
            # A task that is cancelled before its first step never runs, and would give nothing back.
            await asyncio.sleep(0)
            for hand in self._hands:
                hand.cancel()
        if self._hands:
            await asyncio.gather(*self._hands, return_exceptions=True)
