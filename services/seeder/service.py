"""Seeder: copies what is missing into the private registry."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from services.seeder import decide
from services.seeder.settings import Settings
from shared.adapters.registry import CopyFailed, RegistryClient, Skopeo
from shared.ci.images import parse
from shared.errors import Retry
from shared.events import FilesGenerated, Image, ImagesSeeded
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.seeder.decide import Wanted
    from shared.bus import Bus
    from shared.ports import Copier, Manifest, Registry


@dataclass(frozen=True)
class Deps:
    """The private registry, what copies into it, and how many copies are made at once."""

    registry: Registry
    copier: Copier
    private: str
    mirror: str | None = None
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))
    turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)


@asynccontextmanager
async def connect(settings: Settings, _bus: Bus) -> AsyncIterator[Deps]:
    """The registry, asked for the first time by the first delivery."""
    async with RegistryClient.of(settings, timeout=settings.registry_timeout) as registry:
        slots = asyncio.Semaphore(settings.seed_concurrency)
        yield Deps(registry, _copier(settings), settings.nexus_registry, settings.seed_mirror, slots)


async def seed(event: FilesGenerated, deps: Deps) -> ImagesSeeded:
    """Have every image of the files in the registry; one that cannot be had says why and stops nothing.

    Raises Retry where the registry or a source is not available; what was copied until then is found present later.
    """
    to_seed, refused = decide.wanted(event.proposal.files, deps.private, deps.mirror)
    # All are waited for, so that no copy goes on behind a delivery that was given back.
    results = await asyncio.gather(*(_seed_one(image, deps) for image in to_seed), return_exceptions=True)
    images: list[Image] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        images.append(result)
    return decide.seeded(event, [*images, *refused])


async def _seed_one(image: Wanted, deps: Deps) -> Image:
    """One image; whoever wants the same one meanwhile waits its turn and then finds it present."""
    turn = deps.turns.setdefault(image.target, asyncio.Lock())
    async with turn:
        manifest = await _manifest(image, deps)
        return decide.present(image, manifest) if manifest else await _copy(image, deps)


async def _copy(image: Wanted, deps: Deps) -> Image:
    async with deps.slots:
        started = monotonic()
        try:
            await deps.copier.copy(image.pull_from, image.target)
        except CopyFailed as error:
            return decide.failed(image, error.words)
        seconds = monotonic() - started
    manifest = await _manifest(image, deps)
    if manifest is None:
        raise Retry(f"{image.target} was copied but the registry does not show it")
    return decide.copied(image, manifest, seconds)


async def _manifest(image: Wanted, deps: Deps) -> Manifest | None:
    reference = parse(image.target)
    return await deps.registry.manifest(reference.repository, reference.wanted)


def _copier(settings: Settings) -> Skopeo:
    registry = parse(f"{settings.nexus_registry}/x").domain
    insecure = [registry] if settings.registry_insecure else []
    insecure += [settings.seed_mirror] if settings.seed_mirror and settings.seed_mirror_insecure else []
    password = settings.registry_password.get_secret_value() if settings.registry_password else ""
    credentials = {registry: (settings.registry_user, password)} if settings.registry_user else {}
    return Skopeo(credentials=credentials, insecure=insecure, timeout=settings.copy_timeout)


service = Service("seeder", Settings, connect, {FilesGenerated: seed})
