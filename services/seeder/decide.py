"""Which images are wanted, from where, and what became of them; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.ci.images import RULES, images_of, is_private, parse, private_name, source_name
from shared.events import Evidence, FilesGenerated, Image, ImagesSeeded, RunFailed
from shared.retry import retried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shared.ci.images import ImageUse, NameRule
    from shared.ci.places import Place
    from shared.events import Files, ImageState
    from shared.ports import Manifest

BUILT_HERE = "-build"
NOT_CARRIED = "no source is asked (AIR_GAPPED); carry it over: greenrun images export, greenrun images import"
NOT_COPIED = "nothing is copied (SEED_REFRESH=never)"


@dataclass(frozen=True)
class Wanted:
    """One image to have in the private registry: its name there, its source, and the places to copy it from."""

    target: str
    source: str
    places: tuple[Place, ...]
    used_by: tuple[str, ...]
    where: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Names:
    """How images are named: the private registry, its rules, and where a source can be read."""

    registry: str
    places: Callable[[str], tuple[Place, ...]]
    rules: tuple[NameRule, ...] = RULES


def wanted(files: Files, names: Names) -> tuple[list[Wanted], list[Image]]:
    """The images to seed, each once, and those that cannot be: unresolved, or not in the private registry."""
    to_seed: list[Wanted] = []
    refused: list[Image] = []
    for uses in _by_image(images_of(files)):
        first, used_by = uses[0], tuple(dict.fromkeys(use.used_by for use in uses))
        where = tuple(_place(use) for use in uses)
        if first.problem:
            refused.append(_unresolved(first, used_by, where))
        elif is_private(first.reference, names.registry):
            source = source_name(first.reference, names.registry, names.rules)
            to_seed.append(Wanted(str(parse(first.reference)), source, names.places(source), used_by, where))
        else:
            refused.append(_outside(first.reference, used_by, where, names))
    return to_seed, refused


def asks_anew(event: FilesGenerated) -> bool:
    """Whether what is known of the registry may be wrong: a job has just said that it has no such image."""
    repairs = event.proposal.repairs
    return event.proposal.rerun is not None or bool(repairs and repairs[-1].error_class == "image_not_found")


def retried_at(event: FilesGenerated) -> int | None:
    """The attempt where a person began it: something outside has changed; None where none did."""
    return event.attempt if retried(event, event.proposal.repairs) else None


def present(image: Wanted, manifest: Manifest, reason: str = "") -> Image:
    """The image was there already; `reason` says why it was not refreshed, where that was asked for."""
    return _seeded(image, manifest, "present", reason=reason)


def copied(image: Wanted, manifest: Manifest, place: Place, seconds: float, *, over: Manifest | None) -> Image:
    """The image was copied from the place, which took `seconds`; `over` is what had its name before."""
    state: ImageState = "refreshed" if over else "copied"
    return _seeded(image, manifest, state, seconds=seconds, pulled_from=place.name)


def failed(image: Wanted, error_class: str, words: str, seconds: float = 0.0) -> Image:
    """The image cannot be had; `words` are the registry's own."""
    tag = parse(image.target).tag or ""
    if error_class == "manifest_unknown" and tag.endswith(BUILT_HERE):
        words += "; where it is one of your own images, make it: greenrun images build"
    return Image(
        source=image.source,
        target=image.target,
        used_by=image.used_by,
        where=image.where,
        state="failed",
        error_class=error_class,
        reason=words,
        seconds=round(seconds, 3),
    )


def seeded(event: FilesGenerated, images: Iterable[Image], *, strict: bool = False) -> ImagesSeeded | RunFailed:
    """The fact, with every image that the files name; where `strict`, the end of the run if one cannot be had."""
    found = tuple(images)
    gone = [image for image in found if image.state == "failed"]
    if strict and gone:
        lines = [f"{image.target or image.source}: {image.error_class}: {image.reason}" for image in gone]
        reason = f"{len(gone)} of {len(found)} images cannot be had, and SEED_STRICT is set; the first: {lines[0]}"
        identity = {"run_id": event.run_id, "attempt": event.attempt, "repairs": event.proposal.repairs}
        return RunFailed(**identity, phase="seeder", reason=reason, evidence="\n".join(lines)[:4000])
    return ImagesSeeded(run_id=event.run_id, attempt=event.attempt, proposal=event.proposal, images=found)


def _by_image(uses: Sequence[ImageUse]) -> list[list[ImageUse]]:
    """The uses of the same image together; uses without a name stay apart by their problem."""
    groups: dict[tuple[str, str], list[ImageUse]] = {}
    for use in uses:
        name = use.reference if use.problem else str(parse(use.reference))
        groups.setdefault((name, use.problem), []).append(use)
    return list(groups.values())


def _place(use: ImageUse) -> Evidence:
    """The file and line that name the image."""
    file = "Dockerfile" if use.used_by.startswith("Dockerfile") else ".gitlab-ci.yml"
    return Evidence(source=file, line=use.line, text=use.reference, about=use.used_by)


def _seeded(image: Wanted, manifest: Manifest, state: ImageState, **rest: object) -> Image:
    return Image.model_validate(
        {
            "source": image.source,
            "target": image.target,
            "used_by": image.used_by,
            "where": image.where,
            "state": state,
            "digest": manifest.digest,
            "size": manifest.size,
            **rest,
        }
    )


def _unresolved(use: ImageUse, used_by: tuple[str, ...], where: tuple[Evidence, ...]) -> Image:
    line = f" (line {use.line})" if use.line else ""
    return Image(
        source=use.reference, target="", used_by=used_by, where=where, state="unresolved", reason=use.problem + line
    )


def _outside(reference: str, used_by: tuple[str, ...], where: tuple[Evidence, ...], names: Names) -> Image:
    """Policy: a pipeline runs on images of the private registry alone."""
    try:
        target, hint = private_name(reference, names.registry, names.rules), "name it "
    except ValueError as error:
        target, hint = "", str(error)
    reason = f"policy: {reference} is not in the private registry {names.registry}; {hint}{target}"
    source = str(parse(reference))
    return Image(
        source=source,
        target=target,
        used_by=used_by,
        where=where,
        state="failed",
        error_class="outside",
        reason=reason,
    )
