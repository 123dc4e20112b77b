"""A Dockerfile's parents: the images that must be pulled to build it, and what makes it unreadable to a builder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNKNOWN = "\0"
INSTRUCTIONS = frozenset(
    [
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    ]
)
HEREDOC = re.compile(r"<<-?\s*[\"']?([A-Za-z_]\w*)[\"']?")
VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-+])([^}]*))?\}|\$(\w+)")
FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
COPIED = re.compile(r"(?:^(?:COPY|ADD)\s.*?--from=|--mount=\S*?\bfrom=)([^\s,]+)", re.IGNORECASE)


class DockerfileError(Exception):
    """A builder would not get to its first instruction; the text is BuildKit's."""


@dataclass(frozen=True)
class Instruction:
    """One instruction with its continuation lines; `line` counts from 1."""

    word: str
    text: str
    line: int


def instructions(dockerfile: str) -> Iterator[Instruction]:
    """The instructions in order; comments and the bodies of heredocs are none."""
    lines = enumerate(dockerfile.splitlines(), 1)
    for number, raw in lines:
        text = raw.strip()
        if not text or text.startswith("#"):
            continue
        while text.endswith("\\"):
            _, more = next(lines, (0, ""))
            text = text[:-1].rstrip() + " " + ("" if more.lstrip().startswith("#") else more.strip())
            if not more:
                break
        word = text.split(maxsplit=1)[0].upper()
        yield Instruction(word, text, number)
        for end in HEREDOC.findall(text) if word in {"RUN", "COPY", "ADD"} else ():
            for _, body in lines:
                if body.strip() == end:
                    break


def parents(dockerfile: str, given: Mapping[str, str]) -> list[str]:
    """The images that it builds on and copies from, `given` being the build arguments; own stages are left out.

    An image whose name hangs on something not known here contains a NUL. Raises DockerfileError.
    """
    values: dict[str, str] = {}
    stages: list[str] = []
    found: list[str] = []
    for one in instructions(dockerfile):
        if one.word not in INSTRUCTIONS:
            raise DockerfileError(f"dockerfile parse error on line {one.line}: unknown instruction: {one.word}")
        if one.word == "FROM":
            image, name = _parent(one, values)
            if image.lower() not in stages and image != "scratch":
                found.append(image)
            stages.append(name.lower())
        elif one.word == "ARG" and not stages:
            values |= _arguments(one.text, given, values)
        elif not stages:
            raise DockerfileError(f"dockerfile parse error on line {one.line}: no build stage in current context")
        else:
            copied = COPIED.findall(one.text)
            found += [image for image in copied if image.lower() not in stages and not image.isdigit()]
    if not stages:
        raise DockerfileError("file with no instructions")
    return list(dict.fromkeys(found))


def _parent(one: Instruction, values: Mapping[str, str]) -> tuple[str, str]:
    match = FROM.match(one.text)
    if match is None:
        words = "FROM requires either one or three arguments"
        raise DockerfileError(f"dockerfile parse error on line {one.line}: {words}")
    image = filled(match[1], values)
    if not image:
        raise DockerfileError(f"base name ({match[1]}) should not be blank")
    return image, match[2] or ""


def _arguments(text: str, given: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """What an ARG before the first FROM declares; a build argument goes before the default."""
    found: dict[str, str] = {}
    for word in text.split()[1:]:
        name, _, default = word.partition("=")
        found[name] = given.get(name, filled(default.strip("\"'"), {**values, **found}))
    return found


def filled(text: str, values: Mapping[str, str]) -> str:
    """Docker's own substitution: `$X`, `${X}`, `${X:-default}`, `${X:+other}`."""

    def value(match: re.Match[str]) -> str:
        name, operator, word = match[1] or match[4], match[2] or "", match[3] or ""
        known = values.get(name)
        there = known is not None and (known != "" or not operator.startswith(":"))
        if operator.endswith("+"):
            return word if there else ""
        return (known or "") if there or not operator else word

    return VARIABLE.sub(value, text)
