"""build_failure and dependency_resolution: the version of the toolchain that the project asks for.

It may change the version in the tags of the images of one toolchain, in both files together, to one that satisfies
what the log asks for and that the registry or the image's source has; variant and form of the tag stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.edit.images import with_tag
from services.healer.knowledge.toolchains import of_image, wanted_by
from services.healer.knowledge.versions import numbers, satisfies
from services.healer.strategies.fix import Fix
from shared.ci.images import images_of, is_private, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.healer.failure import Failure
    from services.healer.knowledge.toolchains import Toolchain
    from services.healer.knowledge.versions import Requirement, Version
    from shared.events import Files


def images(failure: Failure) -> list[str]:
    """The images whose tags must be known for this repair: those of the toolchain that the log speaks of."""
    said = wanted_by(failure.said)
    return _images(failure.files, said[0], failure.registry) if said else []


def repair(failure: Failure) -> Fix | None:
    """Every image of the toolchain in a version that is asked for; None where one of them cannot be had in any."""
    said = wanted_by(failure.said)
    if said is None:
        return None
    chain, wanted, line = said
    files, changes = failure.files, []
    for target in _images(failure.files, chain, failure.registry):
        tag = _tag(target, wanted, failure)
        if tag is None:
            return None
        if tag != parse(target).tag:
            changed = with_tag(files, target, tag, failure.registry)
            if changed is None:
                return None
            files = changed
            changes.append(f"{target.removeprefix(f'{failure.registry}/')} becomes {tag}")
    if not changes:
        return None
    return Fix(
        "change the toolchain's version", f"{chain.name}: {'; '.join(changes)}, for {line.strip()[:120]!r}", files
    )


def _images(files: Files, chain: Toolchain, registry: str) -> list[str]:
    """The private images of a toolchain that have its version in their tag, each once."""
    found = {use.reference: None for use in images_of(files) if not use.problem and is_private(use.reference, registry)}
    return [reference for reference in found if _version_in(reference, chain)]


def _version_in(reference: str, chain: Toolchain) -> re.Match[str] | None:
    image = parse(reference)
    known = of_image(image.repository)
    return known[1].search(image.tag or "") if known and known[0] is chain and not image.digest else None


def _tag(target: str, wanted: Requirement, failure: Failure) -> str | None:
    """The tag that an image should have: its own where that satisfies, else the nearest that does and exists."""
    image, known = parse(target), of_image(parse(target).repository)
    own = known and known[1].search(image.tag or "")
    if not known or not own or image.tag is None:
        return None
    now = numbers(own["version"])
    if satisfies(now, wanted):
        return image.tag
    same = re.compile(
        rf"{re.escape(image.tag[: own.start('version')])}(\d+(?:\.\d+)*){re.escape(image.tag[own.end('version') :])}"
    )
    tags = failure.tags[target].all if target in failure.tags else ()
    versions = {numbers(found[1]): tag for tag in tags if (found := same.fullmatch(tag))}
    chosen = nearest(now, [version for version in versions if satisfies(version, wanted)], failure.analysis.release)
    return versions[chosen] if chosen else None


def nearest(now: Version, allowed: Iterable[Version], release: str | None = None) -> Version | None:
    """The version to go to: the repository's own release, else the next line above, else the last one below.

    Of a line the newest; versions with as many parts as the one of now come first.
    """
    known = list(allowed)
    alike = [version for version in known if len(version) == len(now)] or known
    own = numbers(release or "")
    named = [version for version in known if own and version in (own, own[: len(now)])]
    if named:
        return max(named, key=lambda version: len(version) == len(now))
    above = sorted({version[:2] for version in alike if version > now})
    line = above[0] if above else max((version[:2] for version in alike), default=None)
    return max((version for version in alike if version[:2] == line), default=None)
