"""Edits of the Dockerfile by instruction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.ci.dockerfile_images import dockerfile_images
from shared.ci.instructions import instructions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ci.instructions import Instruction

_ROOT = re.compile(r"(?:root|0)(?::\S+)?", re.IGNORECASE)
# How kaniko, buildah, Docker and BuildKit name the instruction that they run, and the shell that ran it.
_RAN = (
    re.compile(r"\b(?:RUN|INFO\S* RUN) (?P<command>.+?)\"?(?:: while running|: exit status|$)"),
    re.compile(r"/bin/(?:ba)?sh -c (?P<command>.+?)[\"'] (?:did not complete|returned)"),
)


@dataclass(frozen=True)
class Stage:
    """One build stage: the image that it begins from (empty where that is another stage), and its instructions."""

    image: str
    instructions: tuple[Instruction, ...]

    def running(self, pattern: re.Pattern[str]) -> list[Instruction]:
        """The RUN instructions whose command matches."""
        return [one for one in self.instructions if one.word == "RUN" and pattern.search(one.rest)]

    def user_at(self, line: int) -> str:
        """The last USER before a line; empty where there is none."""
        said = [one.rest for one in self.instructions if one.word == "USER" and one.line < line]
        return said[-1] if said else ""


def stages_of(text: str) -> list[Stage]:
    """The stages in their order, variables in the names of their images expanded."""
    images = {use.line: use.reference for use in dockerfile_images(text) if use.used_by.count(",") == 0}
    found: list[Stage] = []
    for one in instructions(text):
        if one.word == "FROM":
            found.append(Stage(images.get(one.line, ""), (one,)))
        elif found:
            found[-1] = Stage(found[-1].image, (*found[-1].instructions, one))
    return found


def with_lines(text: str, line: int, added: Sequence[str]) -> str:
    """The text with these lines before the one of that number (from 1), above comments that belong to it."""
    lines = text.splitlines(keepends=True)
    while line > 1 and lines[line - 2].lstrip().startswith("#"):
        line -= 1
    lines[line - 1 : line - 1] = [f"{one}\n" for one in added]
    return "".join(lines)


def as_root(stage: Stage, line: int, instruction: str) -> list[str]:
    """The instruction, between two USERs where root does not rule at that line."""
    user = stage.user_at(line)
    return [instruction] if not user or _ROOT.fullmatch(user) else ["USER root", instruction, f"USER {user}"]


def lines_of_instruction(text: str, instruction: Instruction) -> tuple[int, int]:
    """The first line of an instruction, from 1, and the line after its last."""
    later = [one.line for one in instructions(text) if one.line > instruction.line]
    lines = text.splitlines()
    end = min(later, default=len(lines) + 1)
    while end - 1 > instruction.line and (not lines[end - 2].strip() or lines[end - 2].lstrip().startswith("#")):
        end -= 1
    return instruction.line, end


def failed_run(text: str, lines: Sequence[str]) -> tuple[Stage, Instruction] | None:
    """The RUN instruction that the log of a build names last, with its stage; None where it names none of the file."""
    runs = [(stage, one) for stage in stages_of(text) for one in stage.instructions if one.word == "RUN"]
    for line in reversed(lines):
        for pattern in _RAN:
            said = pattern.search(line)
            for stage, one in runs if said else ():
                if said and _plain(one.rest).startswith(_plain(said["command"])[:60]):
                    return stage, one
    return None


def _plain(command: str) -> str:
    return " ".join(re.sub(r"[\"'\\]", "", command).split())
