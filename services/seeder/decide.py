"""Which images are wanted, from where, and what became of them; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.ci.images import images_of, is_private, parse, private_name, source_name
from shared.events import FilesGenerated, Image, ImagesSeeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.ci.images import ImageUse
    from shared.events import Files
    from shared.ports import Manifest


@dataclass(frozen=True)
class Wanted:
    """One image to have in the private registry: its name there, its source, and the name to copy it from."""

    target: str
    source: str
    pull_from: str
    used_by: tuple[str, ...]


def wanted(files: Files, registry: str, mirror: str | None) -> tuple[list[Wanted], list[Image]]:
    """The images to seed, each once, and those that cannot be: unresolved, or not in the private registry."""
    to_seed: list[Wanted] = []
    refused: list[Image] = []
    for uses in _by_image(images_of(files)):
        first, used_by = uses[0], tuple(dict.fromkeys(use.used_by for use in uses))
        if first.problem:
            refused.append(_unresolved(first, used_by))
        elif is_private(first.reference, registry):
            source = source_name(first.reference, registry)
            pull_from = f"{mirror}/{source}" if mirror else source
            to_seed.append(Wanted(str(parse(first.reference)), source, pull_from, used_by))
        else:
            refused.append(_outside(first.reference, used_by, registry))
    return to_seed, refused


def present(image: Wanted, manifest: Manifest) -> Image:
    """The image was there already."""
    return _seeded(image, manifest, "present", 0.0)


def copied(image: Wanted, manifest: Manifest, seconds: float) -> Image:
    """The image was copied, which took `seconds`."""
    return _seeded(image, manifest, "copied", seconds)


def failed(image: Wanted, words: str) -> Image:
    """The image cannot be had; `words` are the registry's own."""
    return Image(source=image.source, target=image.target, used_by=image.used_by, state="failed", reason=words)


def seeded(event: FilesGenerated, images: Iterable[Image]) -> ImagesSeeded:
    """The fact, with every image that the files name."""
    return ImagesSeeded(run_id=event.run_id, attempt=event.attempt, proposal=event.proposal, images=tuple(images))


def _by_image(uses: Sequence[ImageUse]) -> list[list[ImageUse]]:
    """The uses of the same image together; uses without a name stay apart by their problem."""
    groups: dict[tuple[str, str], list[ImageUse]] = {}
    for use in uses:
        name = use.reference if use.problem else str(parse(use.reference))
        groups.setdefault((name, use.problem), []).append(use)
    return list(groups.values())


def _seeded(image: Wanted, manifest: Manifest, state: str, seconds: float) -> Image:
    return Image.model_validate(
        {
            "source": image.source,
            "target": image.target,
            "used_by": image.used_by,
            "state": state,
            "digest": manifest.digest,
            "size": manifest.size,
            "seconds": round(seconds, 3),
        }
    )


def _unresolved(use: ImageUse, used_by: tuple[str, ...]) -> Image:
    where = f" (line {use.line})" if use.line else ""
    return Image(source=use.reference, target="", used_by=used_by, state="unresolved", reason=use.problem + where)


def _outside(reference: str, used_by: tuple[str, ...], registry: str) -> Image:
    """Policy: a pipeline runs on images of the private registry alone."""
    try:
        target, hint = private_name(reference, registry), "name it "
    except ValueError as error:
        target, hint = "", str(error)
    reason = f"policy: {reference} is not in the private registry {registry}; {hint}{target}"
    return Image(source=str(parse(reference)), target=target, used_by=used_by, state="failed", reason=reason)
