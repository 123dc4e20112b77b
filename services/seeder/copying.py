"""One image from the first place that gives it, whatever the others say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from services.seeder.hosts import Hosts
from shared.adapters.registry import CopyDelayed, CopyFailed, NoAnswer, RateLimited
from shared.errors import Reject, Retry

if TYPE_CHECKING:
    from services.seeder.decide import Wanted
    from shared.ci.places import Place
    from shared.ports import Copier, Progress, Sources

RATE_LIMITED = "rate_limited"


@dataclass(frozen=True)
class Brought:
    """An image that was copied: from where, and how many seconds the copy itself took."""

    place: Place
    seconds: float


@dataclass(frozen=True)
class Places:
    """The places that images are copied from, with the limits that all copies of the process share."""

    sources: Sources
    copier: Copier
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))
    hosts: Hosts = field(default_factory=Hosts)

    async def bring(self, image: Wanted, progress: Progress) -> Brought:
        """Copy the image from the first place that gives it.

        Raises CopyDelayed where one may give it later, CopyFailed where none ever will; Retry and Reject come from the
        private registry, and no other place could help.
        """
        said: list[tuple[Place, CopyDelayed | CopyFailed]] = []
        for place in image.places:
            try:
                return await self._copy(place, image.target, progress)
            except (CopyDelayed, CopyFailed) as error:
                said.append((place, error))
        raise verdict(image, said)

    async def newest(self, image: Wanted) -> str | None:
        """The digest at the last place, which is the source itself where that may be asked; None where it has none.

        Raises Retry or Reject where it gives no answer.
        """
        place = image.places[-1]
        self._refuse_the_resting(place)
        try:
            return await self.sources.digest(place)
        except RateLimited as error:
            self.hosts.refused(place.host, error.after)
            raise

    def _refuse_the_resting(self, place: Place) -> None:
        """A host that is at its limit is not asked before its time."""
        resting = self.hosts.resting(place.host)
        if resting:
            raise CopyDelayed(place.name, RATE_LIMITED, f"{place.host} is at its limit", after=resting)

    async def _copy(self, place: Place, target: str, progress: Progress) -> Brought:
        """From one place; what it says of its limit counts for all copies."""
        self._refuse_the_resting(place)
        try:
            await self._look(place)
            async with self.slots:
                # Others may have met its limit while this one waited.
                self._refuse_the_resting(place)
                began = monotonic()
                await self.copier.copy(place, target, progress)
                brought = Brought(place, monotonic() - began)
        except CopyDelayed as error:
            if error.error_class == RATE_LIMITED:
                if not self.hosts.resting(place.host):
                    self.hosts.refused(place.host, error.after)
                error.after = self.hosts.resting(place.host)
            raise
        self.hosts.served(place.host)
        return brought

    async def _look(self, place: Place) -> None:
        """Ask first: what is not there needs no copy, and a source says for how long it is at its limit.

        The copier does not pass that on, and is more patient with silence; of all else it has the word.
        """
        try:
            found = await self.sources.digest(place)
        except (RateLimited, NoAnswer) as error:
            error_class = RATE_LIMITED if isinstance(error, RateLimited) else "timeout"
            raise CopyDelayed(place.name, error_class, error.reason, after=error.after) from error
        except (Retry, Reject):
            return
        if found is None:
            raise CopyFailed(place.name, "manifest_unknown", "manifest unknown")


def verdict(image: Wanted, said: list[tuple[Place, CopyDelayed | CopyFailed]]) -> CopyDelayed | CopyFailed:
    """What the refusals of all places mean together.

    The image's own registry has the last word on whether it exists; else it is worth waiting for any that may give it.
    """
    place, last = said[-1]
    delayed = [error for _, error in said if isinstance(error, CopyDelayed)]
    words = "; ".join(f"{place.host}: {error.words}" for place, error in said) if len(said) > 1 else last.words
    if not delayed or (place.own and last.error_class == "manifest_unknown"):
        return CopyFailed(image.source, last.error_class, words)
    afters = [error.after for error in delayed if error.after is not None]
    return CopyDelayed(image.source, delayed[0].error_class, words, after=min(afters, default=None))
