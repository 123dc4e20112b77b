"""image_not_found: run again where the image can be had, else correct its tag to the nearest existing one.

It may change the tag of one image in either file, and nothing else.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from services.healer.edit.images import with_tag
from services.healer.strategies.fix import Fix
from shared.ci.images import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from services.healer.failure import Tags
    from shared.events import Files, Image, PipelineFailed

_VERSION = re.compile(r"(v?)(\d{1,9}(?:\.\d{1,9}){0,5})(?:-(.+))?", re.ASCII)
SIMILAR = 0.75
MISSING = ("failed", "unresolved")


def suspects(event: PipelineFailed, evidence: str, job: str) -> list[Image]:
    """The images that may be the missing one, the likeliest first."""
    named = [image for image in event.images if image.target in evidence]
    missing = [image for image in event.images if image.state in MISSING]
    used = [image for image in event.images if job and any(use.endswith(f"job {job}") for use in image.used_by)]
    return list(dict.fromkeys([*named, *missing, *used]))


def repair(files: Files, images: Sequence[Image], known: Mapping[str, Tags], registry: str) -> Fix | None:
    """A corrected tag, or a rerun that seeds again; None where no image has a tag that comes near. Pure.

    `known` maps an image's target to its tags.
    """
    for image in images:
        tags = known[image.target]
        wanted = parse(image.target)
        if tags.source is None or wanted.digest or wanted.wanted in (*tags.private, *tags.source):
            continue
        near = nearest_tag(wanted.wanted, [*tags.source, *tags.private])
        changed = near and with_tag(files, image.target, near, registry)
        if changed:
            summary = f"{image.target}: tag {wanted.wanted} does not exist, the nearest that does is {near}"
            return Fix("correct the tag", summary, changed)
    # A mistyped tag cannot come into being; only what exists, or was not asked for, is worth another run.
    available = [i for i in images if _may_exist(i, known[i.target])]
    if not available:
        return None
    names = ", ".join(image.target for image in available[:3])
    return Fix("seed and run again", f"{names}: can be had; seeded again before the rerun", files, rerun=True)


def nearest_tag(wanted: str, tags: Iterable[str]) -> str | None:
    """The existing tag with the same variant and the longest common version, else a tag that is spelt alike.

    `3.12.42-slim` gives `3.12-slim` before `3.12.7-slim`; another major version is never near.
    """
    known = sorted(set(tags) - {wanted})
    version = _VERSION.fullmatch(wanted)
    if not version:
        return next(iter(difflib.get_close_matches(wanted, known, 1, SIMILAR)), None)
    parts = _numbers(version[2])
    parsed = [(tag, match) for tag in known if (match := _VERSION.fullmatch(tag)) and match[1] == version[1]]
    related = [(tag, m) for tag, m in parsed if _shared(parts, _numbers(m[2]))]
    variants = {match[3] for _, match in related}
    variant = version[3]
    if variant not in variants and variant is not None:
        alike = difflib.get_close_matches(variant, [v for v in variants if v], 1, SIMILAR)
        variant = alike[0] if alike else variant
    same = [(tag, _numbers(match[2])) for tag, match in related if match[3] == variant]
    return max(same, key=lambda entry: _nearness(parts, entry[1]))[0] if same else None


def _nearness(wanted: list[int], found: list[int]) -> tuple[int, bool, int, list[int]]:
    """Sort key: more common parts first, then an exact prefix, then the smaller distance, then the newer."""
    shared = _shared(wanted, found)
    distance = abs(wanted[shared] - found[shared]) if len(wanted) > shared < len(found) else 0
    return shared, found == wanted[:shared], -distance, found


def _shared(left: list[int], right: list[int]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _may_exist(image: Image, tags: Tags) -> bool:
    wanted = parse(image.target)
    if tags.source is None or wanted.digest:
        return image.state in MISSING
    return wanted.wanted in (*tags.private, *tags.source)
