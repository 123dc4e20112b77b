"""build_failure: the build of the image does not find its Dockerfile, its context, or what it copies.

It may change the paths that the build's command names, to the Dockerfile and the root of the repository, where greenrun
writes them; and the sources of one COPY, where a file that is not there stands beside others or is known elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.edit.dockerfile import lines_of_instruction
from services.healer.edit.pipeline import with_word
from services.healer.strategies.fix import Fix
from shared.ci.instructions import instructions

if TYPE_CHECKING:
    from services.healer.failure import Failure
    from shared.ci.instructions import Instruction

_NO_DOCKERFILE = re.compile(
    r"failed to read dockerfile|(?:resolving|provide a valid path to a) [Dd]ockerfile"
    r"|Cannot locate (?:specified )?Dockerfile|(?:lstat|stat|open) \S*Dockerfile\S*: no such file"
    r"|no such file or directory.{0,20}Dockerfile|\bDockerfile\b.{0,20}: no such file"
    r"|no (?:Containerfile or )?Dockerfile (?:specified or )?found"
)
_NO_CONTEXT = re.compile(
    r"unable to prepare context: path|context (?:directory|path) .{0,120}(?:not found|does not exist)"
)
_DOCKERFILE_OPTION = re.compile(r"(?<=\s)(?:--dockerfile|--file|-f)[= ](?P<path>[^\s\"']+)")
_CONTEXT_OPTION = re.compile(r"(?<=\s)--context[= ]\"?(?P<path>[^\s\"']+)")
_LAST_ARGUMENT = re.compile(
    r"\b(?:buildah (?:bud|build)|docker (?:buildx )?build)\b.*\s(?P<path>[\w./-]+)\s*$", re.DOTALL
)
_NOT_COPIED = re.compile(
    r"(?:COPY|ADD) failed: .{0,120}(?:stat|found:?) (?P<by_docker>[\w./@+-]+)"
    r"|failed to compute cache key: .{0,80}\"/?(?P<by_buildkit>[^\"]{1,200})\": not found"
    r"|failed to get fileinfo for (?P<by_kaniko>\S+?):|no items matching glob \"?(?P<by_buildah>[^\"\s]+)\"? copied"
    r"|copier: stat: \"/?(?P<by_copier>[^\"]{1,200})\": no such file"
)


def repair(failure: Failure) -> Fix | None:
    """The paths as they are; None where the log does not speak of them."""
    return _paths(failure) or _copied(failure)


def _paths(failure: Failure) -> Fix | None:
    lost = any(_NO_DOCKERFILE.search(line) for line in failure.said)
    if not failure.builds_image or not (lost or any(_NO_CONTEXT.search(line) for line in failure.said)):
        return None
    for step in failure.steps:
        for option, right in (
            (_DOCKERFILE_OPTION, "Dockerfile"),
            (_CONTEXT_OPTION, "$CI_PROJECT_DIR"),
            (_LAST_ARGUMENT, "."),
        ):
            found = option.search(step.text)
            if found and found["path"] not in (right, ".", "./Dockerfile", "${CI_PROJECT_DIR}", "$CI_PROJECT_DIR"):
                text = with_word(failure.document, step, found["path"], right)
                if text:
                    files = failure.files.model_copy(update={"pipeline": text})
                    return Fix(
                        "correct the build's paths", f"the build takes {right} instead of {found['path']}", files
                    )
    return None


def _copied(failure: Failure) -> Fix | None:
    """The COPY without the source that is not there, or with the place where the analysis saw it."""
    said = next((m for line in reversed(failure.said) if (m := _NOT_COPIED.search(line))), None)
    lost = next(filter(None, said.groups()), "") if said else ""
    name = lost.rstrip("/").rpartition("/")[2]
    for one in instructions(failure.files.dockerfile) if name else ():
        words = [word for word in one.rest.split() if not word.startswith("--")]
        if one.word not in ("COPY", "ADD") or "--from" in one.rest or one.rest.lstrip().startswith("["):
            continue
        sources = words[:-1]
        wrong = next((source for source in sources if source.rstrip("/").rpartition("/")[2] == name), None)
        if wrong:
            return _with_source(failure, one, wrong, alone=len(sources) == 1)
    return None


def _with_source(failure: Failure, copy: Instruction, wrong: str, *, alone: bool) -> Fix | None:
    known = [
        path
        for path in failure.analysis.manifests
        if path.rpartition("/")[2] == wrong.rpartition("/")[2] and path != wrong
    ]
    if len(known) == 1:
        right, why = known[0], f"{wrong} is {known[0]} in the repository"
    elif not alone:
        right, why = "", f"{wrong} is not in the repository and is not copied"
    else:
        return None
    text = failure.files.dockerfile
    start, end = lines_of_instruction(text, copy)
    lines = text.splitlines(keepends=True)
    word = re.compile(rf"(?<=\s){re.escape(wrong)}\s" if not right else rf"(?<=\s){re.escape(wrong)}(?=\s)")
    changed = word.sub(lambda _: right, "".join(lines[start - 1 : end - 1]), 1)
    text = "".join([*lines[: start - 1], changed, *lines[end - 1 :]])
    return Fix("correct what is copied", why, failure.files.model_copy(update={"dockerfile": text}))
