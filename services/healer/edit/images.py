"""Another tag for an image, wherever the two files write it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.ci.images import images_of, parse

if TYPE_CHECKING:
    from shared.events import Files

_TOKEN = re.compile(r"[\d.]*\Z")
_FILES = ("pipeline", "dockerfile")
# So many places are tried where a tag does not stand beside its image's name.
PLACES_LIMIT = 40


def with_tag(files: Files, target: str, tag: str, registry: str) -> Files | None:
    """The files with that image's tag replaced where it is written; None where it could not be found in the text.

    A tag that stands in a variable or an ARG, whole or its version alone, is replaced there: only what makes a use of
    the image disappear is changed.
    """
    reference = parse(target)
    name = target.removeprefix(f"{registry}/").partition("@")[0].removesuffix(f":{reference.tag}")
    wanted = reference.wanted
    changed = files
    for pattern, old, new in _ways(name, wanted, tag):
        for file in _FILES:
            changed = _replaced(changed, file, re.compile(pattern.format(re.escape(old))), new, target)
    return None if _uses(changed, target) or changed == files else changed


def _ways(name: str, old: str, new: str) -> list[tuple[str, str, str]]:
    """Where a tag may be written, what stands there, and what then: beside the name, alone, its version alone."""
    ways = [(r"(?<=/){}(?![\w.-])", f"{name}:{old}", f"{name}:{new}"), (r"(?<=[\s\"'=:]){}(?![\w.-])", old, new)]
    short, shorter = _difference(old, new)
    return [*ways, (r"(?m)(?<=[=:\s\"']){}(?=[\"']?\s*$)", short, shorter)] if short else ways


def _replaced(files: Files, file: str, pattern: re.Pattern[str], new: str, target: str) -> Files:
    """The files with each match replaced that is a use of the image."""
    position = 0
    for _ in range(PLACES_LIMIT):
        text: str = getattr(files, file)
        found = pattern.search(text, position)
        left = _uses(files, target)
        if not found or not left:
            break
        tried = files.model_copy(update={file: f"{text[: found.start()]}{new}{text[found.end() :]}"})
        fewer = _uses(tried, target) < left
        files = tried if fewer else files
        position = found.start() + len(new) if fewer else found.end()
    return files


def _difference(old: str, new: str) -> tuple[str, str]:
    """The one version in which two tags differ: `3.9-slim` and `3.12-slim` give 3.9 and 3.12."""
    start = _common(old, new)
    token = _TOKEN.search(old[:start])
    start -= len(token[0]) if token else 0
    end = _common(old[start:][::-1], new[start:][::-1])
    while end and (old[len(old) - end].isdigit() or old[len(old) - end] == "."):
        end -= 1
    return old[start : len(old) - end], new[start : len(new) - end]


def _common(one: str, other: str) -> int:
    """With how many equal characters two texts begin."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _uses(files: Files, target: str) -> int:
    """How often the files name the image."""
    return sum(use.reference == target for use in images_of(files))
