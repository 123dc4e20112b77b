"""artifact_missing: a job does not get the files of an earlier one.

It may add to the failed job's `needs` or `dependencies` the job that keeps the missing folder as an artifact, have it
take artifacts that it declined, and add the folder to the artifacts of the job that compiles, where none keeps it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.edit.pipeline import with_item, with_key, with_scalar
from services.healer.strategies.fix import Fix
from shared.ci.document import parse
from shared.ci.needs import listed
from shared.ci.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.healer.failure import Failure
    from shared.ci.document import Document

_FOLDERS = "dist|build|target|out|public|coverage|reports?|bin|lib|artifacts|_build|publish|wheels"
_MISSING = re.compile(
    r"(?:cannot (?:stat|access|open)|ENOENT.{0,80}(?:open|scandir|stat|lstat)|[Nn]o such file or directory:?"
    rf"|Cannot find|not found:?|Invalid value for).{{0,40}}?['\"`\u2018 ](?P<after>(?:\./)?(?:{_FOLDERS})/?[\w./*-]*)"
    rf"|(?P<before>(?:\./)?(?:{_FOLDERS})/[\w./*-]*)['\"`\u2019]?:? (?:[Nn]o such file|does not exist|not found)"
)
MAKER = "compile"


def repairs(failure: Failure) -> Iterator[Fix]:
    """The way from the job that has the files to the one that misses them."""
    said = next((m for line in reversed(failure.near) if (m := _MISSING.search(line))), None)
    if said is None or not failure.known or failure.builds_image:
        return
    folder = (said["after"] or said["before"]).removeprefix("./").partition("/")[0]
    makers = [name for name in _before(failure) if folder in _kept(failure.document, name)]
    text = failure.files.pipeline
    maker = makers[-1] if makers else MAKER
    if not makers:
        text = _keeping(failure, folder) or ""
    reached = _reached(parse(text), failure.name, maker) if text else None
    if reached and reached != failure.files.pipeline:
        summary = f"job {failure.name} gets {folder}/ from job {maker}"
        yield Fix("hand the files over", summary, failure.files.model_copy(update={"pipeline": reached}))


def _before(failure: Failure) -> list[str]:
    """The jobs of earlier stages, in the order of the stages."""
    stage = {name: str(job.get("stage", "test")) for name, job in failure.document.resolved.items()}
    order = {name: STAGES.index(one) for name, one in stage.items() if one in STAGES}
    own = order.get(failure.name, 0)
    return sorted((name for name, place in order.items() if place < own), key=lambda name: order[name])


def _kept(document: Document, job: str) -> set[str]:
    """The folders at the top that a job keeps."""
    artifacts = document.resolved[job].get("artifacts")
    paths = listed(artifacts.get("paths")) if isinstance(artifacts, dict) else []
    return {str(path).removeprefix("./").partition("/")[0] for path in paths}


def _keeping(failure: Failure, folder: str) -> str | None:
    """The pipeline in which the job that compiles keeps the folder."""
    document = failure.document
    if MAKER not in _before(failure):
        return None
    artifacts = document.resolved[MAKER].get("artifacts")
    if artifacts is None:
        return with_key(document, MAKER, ["artifacts:", f"  paths: [{folder}/]", "  expire_in: 1 day"])
    return with_item(document, (MAKER, "artifacts", "paths"), f"{folder}/")


def _reached(document: Document, job: str, maker: str) -> str | None:
    """The text in which the job takes the artifacts of the maker: by default it does, unless it says whose."""
    own = document.root.get(job)
    body = own if isinstance(own, dict) else {}
    for key in ("needs", "dependencies"):
        said = body.get(key)
        if not isinstance(said, list):
            continue
        for number, entry in enumerate(said):
            if isinstance(entry, dict) and entry.get("job") == maker and entry.get("artifacts") is False:
                return with_scalar(document, (job, key, number, "artifacts"), "true")
        names = [entry.get("job") if isinstance(entry, dict) else entry for entry in said]
        if maker in names:
            continue
        return with_item(document, (job, key), maker) if said else _in_empty_list(document, job, key, maker)
    return document.text


def _in_empty_list(document: Document, job: str, key: str, item: str) -> str | None:
    """The text with the one item in a list that is written as empty."""
    line = document.line_of((job, key))
    lines = document.text.splitlines(keepends=True)
    changed = re.sub(rf"({key}:\s*)\[\s*\]", lambda found: f"{found[1]}[{item}]", lines[line - 1], count=1)
    if changed == lines[line - 1]:
        return None
    return "".join([*lines[: line - 1], changed, *lines[line:]])
