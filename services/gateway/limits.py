"""How often one token may ask, and how many streams may be open at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING

from services.gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A caller may ask for this many seconds' worth at once.
BURST_SECONDS = 2.0
CALLERS_REMEMBERED = 10_000


class Rate:
    """A token bucket for each caller."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_second` 0 is no limit."""
        self._per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one request; Refused with 429 and Retry-After where there were too many."""
        if not self._per_second:
            return
        now, full = self._clock(), max(1.0, self._per_second * BURST_SECONDS)
        left, at = self._buckets.get(key, (full, now))
        left = min(full, left + (now - at) * self._per_second)
        if left < 1:
            wait = max(1, ceil((1 - left) / self._per_second))
            raise Refused(429, f"more than {self._per_second:g} requests a second; wait", {"Retry-After": str(wait)})
        self._buckets[key] = (left - 1, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > CALLERS_REMEMBERED:
            self._buckets.popitem(last=False)


class Streams:
    """Counts the streams that are open."""

    def __init__(self, most: int) -> None:
        """None is open."""
        self._most = most
        self.open = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place; Refused with 503 where all are taken."""
        if self.open >= self._most:
            raise Refused(
                503, f"{self._most} streams are open, and no more may be; try again later", {"Retry-After": "10"}
            )
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
