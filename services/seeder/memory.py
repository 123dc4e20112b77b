"""What the seeder remembers of a run: which images are there, and since when it waits for their sources."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.ports import Manifest

RUNS_LIMIT = 1000


@dataclass
class Known:
    """Of one run: the manifests that were seen in the private registry, and when it first had to wait.

    `retried` is the attempt of its last retry, 0 where there was none: what was known before that is forgotten.
    """

    present: dict[str, Manifest] = field(default_factory=dict)
    waits_since: float | None = None
    retried: int = 0


@dataclass(frozen=True)
class Memory:
    """The latest runs; a process that begins anew only asks again."""

    clock: Callable[[], float] = monotonic
    _runs: OrderedDict[str, Known] = field(default_factory=OrderedDict)

    def of(self, run_id: str) -> Known:
        """What is known of the run."""
        known = self._runs.setdefault(run_id, Known())
        self._runs.move_to_end(run_id)
        while len(self._runs) > RUNS_LIMIT:
            self._runs.popitem(last=False)
        return known

    def retried(self, run_id: str, attempt: int) -> None:
        """A person began this attempt: all is asked again and waited for anew, once for however many deliveries."""
        if attempt > self.of(run_id).retried:
            self._runs[run_id] = Known(retried=attempt)

    def served(self, run_id: str) -> None:
        """The run has what it waited for: its next wait begins anew."""
        self.of(run_id).waits_since = None

    def waited(self, run_id: str) -> float:
        """Seconds since the run first had to wait for a source, which is now where it had not yet."""
        known = self.of(run_id)
        if known.waits_since is None:
            known.waits_since = self.clock()
        return self.clock() - known.waits_since
