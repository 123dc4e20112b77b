"""The images that a Dockerfile needs.

Rules: Docker's Dockerfile reference (parser directives, ARG before FROM, stage names, heredocs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.ci.image_use import ImageUse, checked
from shared.ci.instructions import directives, instructions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Set by the builder for the global scope; the values depend on where the build runs.
PLATFORM_ARGS = frozenset(
    f"{side}{part}" for side in ("TARGET", "BUILD") for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
)

_VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_ARGUMENT = re.compile(r"(\w+)(?:=(\"[^\"]*\"|'[^']*'|\S*))?")
_MOUNT_FROM = re.compile(r"--mount=\S*\bfrom=([^,\s]+)", re.IGNORECASE)
_FLAG_FROM = re.compile(r"--from=(\S+)")


@dataclass
class _Build:
    """What is known on the way down the file."""

    arguments: dict[str, str | None] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)

    @property
    def stage(self) -> str:
        """The name of the current stage, its number where it has none."""
        return self.stages[-1] or str(len(self.stages) - 1)

    def is_stage(self, name: str) -> bool:
        """Whether a name or number means a stage that began before."""
        return name.lower() in self.stages or (name.isdigit() and int(name) < len(self.stages))


def dockerfile_images(text: str) -> list[ImageUse]:
    """Every image that the Dockerfile names, in its order; stages and `scratch` are none."""
    build, found = _Build(), list(_syntax(text))
    for line, word, rest in instructions(text):
        if word == "ARG" and not build.stages:
            build.arguments |= _arguments(rest, build.arguments)
        elif word == "FROM":
            found += _from(rest, line, build)
        elif word in ("COPY", "ADD", "RUN") and build.stages:
            found += _taken_from(word, rest, line, build)
    return found


def _from(rest: str, line: int, build: _Build) -> Iterator[ImageUse]:
    words = [w for w in rest.split() if not w.startswith("--")]
    named = len(words) == 3 and words[1].lower() == "as"  # noqa: PLR2004 - image, as, name
    image, problem = _expand(words[0] if words else "", build.arguments)
    known = build.is_stage(image) and not image.isdigit()
    build.stages.append(words[2].lower() if named else "")
    if not known and image.lower() != "scratch":
        yield checked(image, f"Dockerfile stage {build.stage}", line, problem)


def _taken_from(word: str, rest: str, line: int, build: _Build) -> Iterator[ImageUse]:
    """Images that files are taken from: `COPY --from=` and `RUN --mount=…,from=`; neither expands variables."""
    pattern = _MOUNT_FROM if word == "RUN" else _FLAG_FROM
    for name in pattern.findall(rest):
        if not build.is_stage(name) and name.lower() != "scratch":
            problem = f"{word} --from does not expand variables" if "$" in name else ""
            yield checked(name, f"Dockerfile stage {build.stage}, {word} from", line, problem)


def _syntax(text: str) -> Iterator[ImageUse]:
    image = directives(text).get("syntax")
    if image:
        yield checked(image, "Dockerfile syntax", 1)


def _arguments(rest: str, known: Mapping[str, str | None]) -> dict[str, str | None]:
    """Name → default of one ARG line; None where it has no default."""
    found: dict[str, str | None] = {}
    for name, value in _ARGUMENT.findall(rest):
        declared = f"{name}=" in rest
        found[name] = _expand(value.strip("\"'"), {**known, **found})[0] if declared else None
    return found


def _expand(text: str, arguments: Mapping[str, str | None]) -> tuple[str, str]:
    """The text with its variables replaced, and the reason where one has no value."""
    problems: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name is None:
            return "$"
        known, modifier, word = arguments.get(name), match[3] or "", match[4] or ""
        if modifier.endswith("+"):
            return word if known else ""
        if known is None and not modifier:
            problems.append(_unknown(name, arguments))
            return match[0]
        return word if known is None or (not known and modifier) else known

    return _VARIABLE.sub(value, text.strip("\"'")), "; ".join(problems)


def _unknown(name: str, arguments: Mapping[str, str | None]) -> str:
    if name in arguments:
        return f"ARG {name} has no default"
    if name in PLATFORM_ARGS:
        return f"{name} is set by the machine that builds"
    return f"ARG {name} is not declared before FROM"
