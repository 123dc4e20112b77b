"""How many requests a second GitLab gets from one monitor, and for how long none at all."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

# So much of the budget that was not used may be used at once.
BURST_SECONDS = 1.0
FIRST_PAUSE = 0.5
MOST_DOUBLINGS = 16


class Budget:
    """Deals out requests in order, the urgent ones first; pauses for all when GitLab asks for it or is away."""

    def __init__(self, rate: float, longest_pause: float) -> None:
        """`rate` in requests a second; `longest_pause` in seconds where GitLab does not say for how long."""
        self._rate = rate
        self._longest_pause = longest_pause
        self._waiting: list[tuple[bool, int, int, asyncio.Future[None]]] = []
        self._number = count()
        self._dealer: asyncio.Task[None] | None = None
        self._free_at = 0.0
        self._resumes_at = 0.0
        self._refusals = 0

    async def spend(self, requests: int, *, urgent: bool = False) -> None:
        """Return when so many requests may be made."""
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not urgent, next(self._number), requests, turn))
        if self._dealer is None or self._dealer.done():
            self._dealer = asyncio.create_task(self._deal())
        await turn

    def answered(self) -> None:
        """GitLab answers: the next silence is the first one again."""
        self._refusals = 0

    def refused(self, after: float | None) -> None:
        """GitLab is away or asks to slow down: nobody asks for `after` seconds, or longer with every time."""
        own = min(self._longest_pause, FIRST_PAUSE * 2 ** min(self._refusals, MOST_DOUBLINGS))
        self._refusals += 1
        pause = own if after is None else max(own, after)
        self._resumes_at = max(self._resumes_at, asyncio.get_running_loop().time() + pause)

    async def _deal(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            if (seconds := max(self._free_at, self._resumes_at) - clock()) > 0:
                await asyncio.sleep(seconds)
                continue
            *_, requests, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._free_at = max(self._free_at, clock() - BURST_SECONDS) + requests / self._rate
                turn.set_result(None)
