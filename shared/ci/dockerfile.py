"""What is wrong with a Dockerfile as a Dockerfile (Docker's Dockerfile reference), and what contradicts the repository.

Its images are the policy's business.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.ci.dockerfile_images import dockerfile_images
from shared.ci.finding import DOCKERFILE, Finding, Severity
from shared.ci.instructions import SIZE_LIMIT, Instruction, instructions
from shared.ci.rules import RULES
from shared.ci.shell import objection as shell_objection
from shared.ci.sources import absent, sources_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.events import Analysis

__all__ = ["Instruction", "check_dockerfile", "instructions"]

INSTRUCTIONS = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"}
    | {"ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
SOURCE_AND_TARGET = 2
HIGHEST_PORT = 65_535

_FROM = re.compile(
    r"(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+as\s+(?P<stage>[a-z][\w.-]*))?", re.IGNORECASE | re.ASCII
)
_FLAG_FROM = re.compile(r"--from=(\S+)")
_FLAGS = re.compile(r"^(?:--\S+\s+)+")
_HEREDOC = re.compile(r"<<-?\s*[\"']?\w")
_ROOT = re.compile(r"(?:root|0)(?::\S+)?", re.IGNORECASE)
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(?:tcp|udp))?")


@dataclass
class _Stages:
    """The build stages seen on the way down."""

    count: int = 0
    names: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """Whether a name or a number means an earlier stage."""
        return name.lower() in self.names or (name.isdecimal() and name.isascii() and int(name[:6]) < self.count - 1)


def check_dockerfile(text: str, analysis: Analysis | None = None) -> Iterator[Finding]:
    """Every finding about the Dockerfile; with the analysis also sources that are not there and another port."""
    if len(text) > SIZE_LIMIT:
        yield _finding(1, "dockerfile-size", f"the file has {len(text)} characters, more than {SIZE_LIMIT}")
    stages, found = _Stages(), instructions(text)
    for instruction in found:
        yield from _instruction(instruction, stages)
    if not stages.count:
        yield _finding(1, "dockerfile-no-from", "there is no FROM: an image is built from a parent image")
    for use in dockerfile_images(text):
        if use.problem and "$" not in use.reference:
            yield _finding(use.line or 1, "image-name", f"{use.used_by}: {use.problem}")
    yield from _user(found)
    if analysis is not None:
        yield from _against(found, analysis)


def _instruction(instruction: Instruction, stages: _Stages) -> Iterator[Finding]:
    line, word, rest = instruction
    if word not in INSTRUCTIONS:
        yield _unknown(instruction)
    elif word == "FROM":
        yield from _from(instruction, stages)
    elif not stages.count and word != "ARG":
        yield _finding(line, "dockerfile-before-from", f"{word} stands before the first FROM")
    elif word in ("COPY", "ADD"):
        yield from _copy(instruction, stages)
    elif not rest:
        yield _finding(line, "dockerfile-arguments", f"{word} has no argument")
    elif word == "EXPOSE":
        yield from _expose(instruction)
    elif word == "RUN":
        yield from _run(instruction)


def _unknown(instruction: Instruction) -> Finding:
    near = next(iter(difflib.get_close_matches(instruction.word, INSTRUCTIONS, 1)), None)
    message = f"{instruction.word[:40]!r} is no Dockerfile instruction"
    return _finding(instruction.line, "dockerfile-instruction", message, near)


def _from(instruction: Instruction, stages: _Stages) -> Iterator[Finding]:
    stages.count += 1
    match = _FROM.fullmatch(instruction.rest)
    if not match:
        message = f"FROM {instruction.rest[:60]!r} is not 'FROM image' or 'FROM image AS name'"
        yield _finding(instruction.line, "dockerfile-arguments", message)
    elif match["stage"]:
        stages.names.add(match["stage"].lower())


def _copy(instruction: Instruction, stages: _Stages) -> Iterator[Finding]:
    words = [word for word in instruction.rest.split() if not word.startswith("--")]
    if len(words) < SOURCE_AND_TARGET and not _FLAGS.sub("", instruction.rest).startswith("["):
        yield _finding(instruction.line, "dockerfile-arguments", f"{instruction.word} needs a source and a target")
    for name in _FLAG_FROM.findall(instruction.rest):
        # What has a tag or a registry is an image; a variable's value is not known.
        if not stages.has(name) and not any(sign in name for sign in "/:$@"):
            near = next(iter(difflib.get_close_matches(name.lower(), stages.names, 1)), None)
            message = f"{instruction.word} --from={name} names no earlier stage and no image with its registry"
            yield _finding(instruction.line, "dockerfile-copy-from", message, near and f"--from={near}")


def _expose(instruction: Instruction) -> Iterator[Finding]:
    for word in instruction.rest.split():
        match = _PORT.fullmatch(word)
        if "$" not in word and not (match and all(0 < int(port) <= HIGHEST_PORT for port in match.groups() if port)):
            yield _finding(instruction.line, "dockerfile-arguments", f"EXPOSE {word[:40]!r} is no port")


def _run(instruction: Instruction) -> Iterator[Finding]:
    """A finding about a RUN in the form of a shell that no shell reads; heredocs and other shells are left alone."""
    command = _FLAGS.sub("", instruction.rest)
    wrong = None if command.startswith("[") or _HEREDOC.search(command) else shell_objection(command)
    if wrong:
        yield _finding(instruction.line, "dockerfile-shell-syntax", f"no shell reads this RUN: {wrong.message}")


def _user(found: list[Instruction]) -> Iterator[Finding]:
    """A warning where the last USER of the final image is root, or there is none."""
    starts = [number for number, one in enumerate(found) if one.word == "FROM"]
    final = found[starts[-1] :] if starts else []
    users = [one for one in final if one.word == "USER"]
    if users and _ROOT.fullmatch(users[-1].rest):
        yield _finding(users[-1].line, "dockerfile-user", "the image's last USER is root")


def _against(found: list[Instruction], analysis: Analysis) -> Iterator[Finding]:
    """Findings where the Dockerfile and what is known of the repository contradict each other."""
    for one in found:
        for source in sources_of(one):
            why = absent(source, analysis)
            if why:
                yield _finding(one.line, "dockerfile-copy-source", f"{one.word} {source}: {why}")
    exposed = [
        (one.line, int(match[1]))
        for one in found
        if one.word == "EXPOSE"
        for word in one.rest.split()
        if (match := _PORT.fullmatch(word))
    ]
    if analysis.ports and exposed and not {port for _, port in exposed} & set(analysis.ports):
        known = ", ".join(str(port) for port in analysis.ports)
        message = f"EXPOSE {exposed[0][1]}, but the application listens on {known}"
        yield _finding(exposed[0][0], "dockerfile-port", message, f"EXPOSE {analysis.ports[0]}")


def _finding(line: int, rule: str, message: str, fix: str | None = None) -> Finding:
    severity: Severity = RULES[rule].severity
    return Finding(rule, severity, DOCKERFILE, line, 1, message, fix)
