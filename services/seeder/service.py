"""Seeder: copies what is missing into the private registry."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Literal

from services.seeder import decide
from services.seeder.copying import Places
from services.seeder.decide import Names
from services.seeder.memory import Memory
from services.seeder.settings import Settings
from shared.adapters.registry import CopyDelayed, CopyFailed, RegistryClient, Skopeo
from shared.adapters.registry_auth import credentials_of
from shared.adapters.sources import SourceClients
from shared.ci.images import parse
from shared.errors import Reject, Retry
from shared.events import FilesGenerated, Image, ImagesSeeded, RunFailed
from shared.leases import LocalLeases
from shared.logging import logger
from shared.progress import copying
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.seeder.decide import Wanted
    from shared.bus import Bus
    from shared.ports import Leases, Manifest, Registry

log = logger("seeder")


@dataclass(frozen=True)
class Policy:
    """What is copied at all, what a failure means, and for how long (in seconds) a run waits for its sources."""

    refresh: Literal["never", "missing", "newer"] = "missing"
    strict: bool = False
    patience: float = 900.0


@dataclass(frozen=True)
class Deps:
    """The private registry, the places that images come from, and what keeps replicas apart.

    `bus` hears how far the copies are.
    """

    registry: Registry
    places: Places
    names: Names
    leases: Leases = field(default_factory=LocalLeases)
    policy: Policy = Policy()
    memory: Memory = field(default_factory=Memory)
    bus: Bus | None = None


@asynccontextmanager
async def connect(settings: Settings, bus: Bus | None) -> AsyncIterator[Deps]:
    """The registries, asked for the first time by the first delivery."""
    async with (
        RegistryClient.of(settings, timeout=settings.registry_timeout) as registry,
        SourceClients(settings, timeout=settings.registry_timeout) as sources,
    ):
        yield Deps(
            registry,
            Places(sources, copier_of(settings), asyncio.Semaphore(settings.seed_concurrency)),
            Names(settings.nexus_registry, settings.places, settings.names),
            bus or LocalLeases(),
            Policy(settings.seed_refresh, settings.seed_strict, settings.seed_patience),
            bus=bus,
        )


async def seed(event: FilesGenerated, deps: Deps) -> ImagesSeeded | RunFailed:
    """Have every image of the files in the registry; one that cannot be had says why and stops nothing.

    Raises Retry where the registry or a source is not available; what was copied until then is found present later.
    """
    to_seed, refused = decide.wanted(event.proposal.files, deps.names)
    if attempt := decide.retried_at(event):
        deps.memory.retried(event.run_id, attempt)
    if decide.asks_anew(event):
        deps.memory.of(event.run_id).present.clear()
    # All are waited for, so that no copy goes on behind a delivery that was given back.
    results = await asyncio.gather(*(have(image, event.run_id, deps) for image in to_seed), return_exceptions=True)
    images = [result for result in results if not isinstance(result, BaseException)]
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise _gravest(errors)
    if not any(image.state == "failed" for image in images):
        deps.memory.served(event.run_id)
    return decide.seeded(event, [*images, *refused], strict=deps.policy.strict)


async def have(image: Wanted, run_id: str, deps: Deps) -> Image:
    """One image, for this run; whoever wants the same one meanwhile waits its turn and then finds it present.

    Raises Retry where the registry or a source is not available, Reject where the registry refuses.
    """
    known = deps.memory.of(run_id).present
    there = known.get(image.target) or await _manifest(image, deps)
    if there and deps.policy.refresh == "newer" and image.target not in known:
        return await _refreshed(image, there, run_id, deps)
    if there is None:
        return await _missing(image, run_id, deps)
    known[image.target] = there
    return decide.present(image, there)


async def _missing(image: Wanted, run_id: str, deps: Deps) -> Image:
    if deps.policy.refresh == "never":
        return decide.failed(image, "missing", decide.NOT_COPIED)
    if not image.places:
        return decide.failed(image, "missing", decide.NOT_CARRIED)
    return await _copied(image, None, run_id, deps)


async def _refreshed(image: Wanted, there: Manifest, run_id: str, deps: Deps) -> Image:
    """What is there where its source still has the same; a source that does not answer changes nothing."""
    newest, reason = there.digest, ""
    if image.places and not parse(image.target).digest:
        try:
            newest = await deps.places.newest(image) or there.digest
        except (Retry, Reject) as error:
            reason = f"whether it is the newest is not known: {error.reason}"
    if newest == there.digest:
        deps.memory.of(run_id).present[image.target] = there
        return decide.present(image, there, reason)
    # A cache before it may still have the old one.
    return await _copied(replace(image, places=image.places[-1:]), there, run_id, deps)


async def _copied(image: Wanted, over: Manifest | None, run_id: str, deps: Deps) -> Image:
    """Copy it, alone of all replicas; where another one was first it is present now."""
    began = monotonic()
    try:
        async with deps.leases.lease(hashlib.sha256(image.target.encode()).hexdigest()):
            there = await _manifest(image, deps)
            if there is None or there == over:
                return await _brought(image, over, run_id, deps)
    except CopyFailed as error:
        return _failed(image, over, error, monotonic() - began)
    except CopyDelayed as error:
        waited = deps.memory.waited(run_id)
        left = deps.policy.patience - waited
        if left > 0:
            # What it wishes for may be hours; the run does not wait for longer than it may.
            error.after = None if error.after is None else min(error.after, left)
            raise
        log.warning("not waited for any longer", image=image.target, waited=round(waited), reason=error.reason)
        return _failed(image, over, error, monotonic() - began)
    deps.memory.of(run_id).present[image.target] = there
    return decide.present(image, there)


async def _brought(image: Wanted, over: Manifest | None, run_id: str, deps: Deps) -> Image:
    """The copy itself, as the registry shows it afterwards."""
    brought = await deps.places.bring(image, copying(deps.bus, run_id, image.target))
    there = await _manifest(image, deps)
    if there is None:
        raise Retry(f"{image.target} was copied but the registry does not show it")
    place, seconds = brought.place, round(brought.seconds, 3)
    log.info("copied", image=image.target, place=place.name, seconds=seconds, bytes=there.size)
    deps.memory.of(run_id).present[image.target] = there
    return decide.copied(image, there, place, seconds, over=over)


def _failed(image: Wanted, over: Manifest | None, error: CopyFailed | CopyDelayed, seconds: float) -> Image:
    """The image is failed where there is none; one that only could not be refreshed is still present."""
    if over:
        return decide.present(image, over, f"it could not be refreshed: {error.words}")
    return decide.failed(image, error.error_class, error.words, seconds)


async def _manifest(image: Wanted, deps: Deps) -> Manifest | None:
    reference = parse(image.target)
    return await deps.registry.manifest(reference.repository, reference.wanted)


def _gravest(errors: list[BaseException]) -> BaseException:
    """What the delivery ends in: something unexpected, then a final no, then the longest wait."""
    return max(
        errors,
        key=lambda e: (not isinstance(e, Reject | Retry), isinstance(e, Reject), getattr(e, "after", None) or 0.0),
    )


def copier_of(settings: Settings) -> Skopeo:
    """Skopeo with the users of all registries."""
    registry = parse(f"{settings.nexus_registry}/x").domain
    insecure = [registry] if settings.registry_insecure else []
    return Skopeo(credentials=credentials_of(settings), insecure=insecure, timeout=settings.copy_timeout)


service = Service("seeder", Settings, connect, {FilesGenerated: seed})
