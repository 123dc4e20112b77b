"""Which toolchain a log asks for, in which versions: the table is `toolchains.yml` beside."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from services.healer.knowledge.versions import Bound, Requirement, requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

# Java 1 wrote class files of the version 45 (JVMS, table 4.1-A).
_CLASS_FILES = 44


class Toolchain(NamedTuple):
    """One toolchain: its images with where the version stands in a tag, and what it says of the one it wants."""

    name: str
    images: dict[str, re.Pattern[str]]
    says: tuple[re.Pattern[str], ...]
    signs: tuple[tuple[re.Pattern[str], str], ...]


@cache
def toolchains() -> tuple[Toolchain, ...]:
    """Every toolchain of the table."""
    rows = yaml.safe_load((Path(__file__).parent / "toolchains.yml").read_text())
    return tuple(
        Toolchain(
            row["name"],
            {image: re.compile(pattern) for image, pattern in row["images"].items()},
            tuple(re.compile(pattern, re.IGNORECASE) for pattern in row["says"]),
            tuple((re.compile(pattern), wanted) for pattern, wanted in row.get("signs", {}).items()),
        )
        for row in rows
    )


def of_image(repository: str) -> tuple[Toolchain, re.Pattern[str]] | None:
    """The toolchain of an image, and where its version stands in a tag; None where it is none of these."""
    for chain in toolchains():
        for end, pattern in chain.images.items():
            if repository == end or repository.endswith(f"/{end}"):
                return chain, pattern
    return None


def wanted_by(lines: Iterable[str]) -> tuple[Toolchain, Requirement, str] | None:
    """The toolchain that lines of a log ask for, in which versions, and the line; the last line that says so counts."""
    for line in reversed(list(lines)):
        for chain in toolchains():
            found = _requirement(chain, line)
            if found:
                return chain, found, line
    return None


def _requirement(chain: Toolchain, line: str) -> Requirement:
    for pattern in chain.says:
        said = pattern.search(line)
        if said:
            groups = said.groupdict()
            if groups.get("classes"):
                return ((Bound(">=", (int(groups["classes"]) - _CLASS_FILES,)),),)
            return requirement(f">={groups['wanted']}" if "least" in groups else groups["wanted"])
    return next((requirement(wanted) for sign, wanted in chain.signs if sign.search(line)), ())
