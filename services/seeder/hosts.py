"""Rate limits: a source that asked for patience is left alone by all copies of the process."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 900.0


@dataclass
class _Rest:
    until: float
    refusals: int


@dataclass(frozen=True)
class Hosts:
    """Until when each host is left alone: as long as it said (`Retry-After`), else longer with each refusal."""

    clock: Callable[[], float] = monotonic
    _rests: dict[str, _Rest] = field(default_factory=dict)

    def resting(self, host: str) -> float:
        """Seconds for which the host is not asked; 0 where it may be."""
        rest = self._rests.get(host)
        return max(0.0, rest.until - self.clock()) if rest else 0.0

    def refused(self, host: str, after: float | None) -> None:
        """The host is at its limit; `after` is its own wish in seconds.

        Copies that were under way together are one refusal.
        """
        before = self._rests.get(host)
        refusals = before.refusals if before else 0
        refusals += 0 if self.resting(host) else 1
        wait = after if after is not None else min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(refusals - 1, 16))
        until = max(self.clock() + wait, before.until if before else 0.0)
        self._rests[host] = _Rest(until, refusals)

    def served(self, host: str) -> None:
        """The host gave what it was asked for."""
        if not self.resting(host):
            self._rests.pop(host, None)
