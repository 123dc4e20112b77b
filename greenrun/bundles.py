"""Carry images over an air gap: from their sources into one bundle, and from the bundle into the private registry."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from greenrun.exits import WrongCall
from services.seeder.copying import Places
from services.seeder.service import copier_of
from shared.adapters.bundle import Layout, Packed
from shared.adapters.registry import RegistryClient
from shared.adapters.sources import SourceClients
from shared.ci.images import parse, private_name
from shared.errors import GreenrunError, Reject, Retry
from shared.ports import unheard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from services.seeder.decide import Wanted
    from services.seeder.settings import Settings
    from shared.adapters.skopeo import Skopeo
    from shared.ci.places import Place
    from shared.ports import Progress

    Say = Callable[[str, str], None]

NO_PLACE = "no source may be asked here (AIR_GAPPED); run this where the sources can be reached"


@dataclass(frozen=True)
class Downloads:
    """Implements `shared.ports.Copier` with folders of this machine as targets."""

    skopeo: Skopeo

    async def copy(self, place: Place, target: str, progress: Progress = unheard) -> None:
        """Write the image into the folder."""
        await self.skopeo.download(place, Path(target), progress)


@dataclass(frozen=True)
class Carried:
    """What became of a set of images; `failed` maps a source's name to why. `size` of the bundle in bytes."""

    images: tuple[Packed, ...]
    failed: dict[str, str]
    size: int = 0


async def export(images: Sequence[Wanted], bundle: Path, settings: Settings, say: Say, *, partly: bool) -> Carried:
    """Write a bundle with the images; without `partly` none where one of them cannot be had.

    `say` is told of each image as it is there. GreenrunError where the disk is full or the folder cannot be written.
    """
    with _scratch(bundle.absolute().parent) as scratch:
        (scratch / "layout").mkdir()
        layout = Layout(scratch / "layout")
        async with SourceClients(settings, timeout=settings.registry_timeout) as sources:
            slots = asyncio.Semaphore(settings.seed_concurrency)
            places = Places(sources, Downloads(copier_of(settings)), slots)
            work = (_fetch(image, places, layout, scratch, say) for image in images)
            done = await asyncio.gather(*work)
        failed = {image.source: words for image, words in zip(images, done, strict=True) if isinstance(words, str)}
        packed = tuple(one for one in done if isinstance(one, Packed))
        if not packed or (failed and not partly):
            return Carried((), failed)
        return Carried(packed, failed, await asyncio.to_thread(layout.write, bundle))


async def _fetch(image: Wanted, places: Places, layout: Layout, scratch: Path, say: Say) -> Packed | str:
    """The image in the layout, or why it is not."""
    if not image.places:
        return NO_PLACE
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        try:
            brought = await places.bring(replace(image, target=folder), unheard)
        except (Retry, Reject) as error:
            return error.reason
        packed = layout.take(image.source, Path(folder))
    say(image.source, f"{packed.size} bytes from {brought.place.host}")
    return packed


async def import_all(bundle: Path, settings: Settings, say: Say) -> Carried:
    """Bring every image of the bundle into the private registry under its name there, digests unchanged.

    Raises Reject, before anything is written, where the bundle is not whole.
    """
    if not bundle.is_file():
        raise WrongCall(f"there is no file {bundle}")
    beside = bundle.absolute().parent
    # What was carried over may be on a disk that cannot be written.
    with _scratch(beside if os.access(beside, os.W_OK) else Path(tempfile.gettempdir())) as scratch:
        layout = Layout(scratch)
        await asyncio.to_thread(layout.read, bundle)
        images = layout.images()
        skopeo, slots = copier_of(settings), asyncio.Semaphore(settings.seed_concurrency)
        async with RegistryClient.of(settings, timeout=settings.registry_timeout) as registry:

            async def bring(image: Packed) -> str:
                async with slots:
                    return await _push(image, layout, registry, skopeo, settings, say)

            done = await asyncio.gather(*map(bring, images))
    failed = {image.source: words for image, words in zip(images, done, strict=True) if words}
    return Carried(tuple(image for image in images if image.source not in failed), failed)


async def _push(
    image: Packed, layout: Layout, registry: RegistryClient, skopeo: Skopeo, settings: Settings, say: Say
) -> str:
    """Why the image is not in the registry; empty where it is, with the digest that it had."""
    try:
        target = private_name(image.source, settings.nexus_registry, settings.names)
        name = parse(target)
        if await registry.digest(name.repository, name.wanted) == image.digest:
            say(image.source, f"present as {target}")
            return ""
        with layout.unpacked(image, layout.folder) as folder:
            await skopeo.upload(folder, target)
        found = await registry.digest(name.repository, name.wanted)
    except (Retry, Reject, ValueError) as error:
        return str(error)
    if found != image.digest:
        return f"the registry has {found} as {target} after the copy, the bundle {image.digest}"
    say(image.source, f"copied to {target}")
    return ""


@contextmanager
def _scratch(where: Path) -> Iterator[Path]:
    """A folder in that one; an error of the disk as one sentence."""
    try:
        with tempfile.TemporaryDirectory(dir=where, prefix=".greenrun-") as name:
            yield Path(name)
    except OSError as error:
        raise GreenrunError(f"{where} cannot take the bundle's parts: {error.strerror or error}") from error
