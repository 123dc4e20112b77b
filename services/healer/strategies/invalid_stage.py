"""invalid_stage: the nine stages in their order, and each of the ten jobs in its place.

It may change the `stages` list and the `stage` of a job, and nothing else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.strategies.fix import Fix
from shared.ci.document import Document, parse
from shared.ci.lint import check_document
from shared.ci.stages import STAGE_OF, STAGES

if TYPE_CHECKING:
    from shared.events import Files

RULES = frozenset({"nine-stages", "job-stage", "undefined-stage"})
_STAGE = re.compile(r"(^\s*(?:-\s+)?stage:[ \t]*)([^\s#]+|\"[^\"]*\"|'[^']*')")


def repair(files: Files) -> Fix | None:
    """The files with their stages mended; None where the stages are not what is wrong or cannot be mended."""
    text, changes = files.pipeline, list[str]()
    document = parse(text)
    if not document.readable:
        return None
    if document.stages != STAGES:
        text = _with_stages(document)
        changes.append("the nine stages in their order")
    for job, stage in STAGE_OF.items():
        document = parse(text)
        found = document.resolved.get(job, {}).get("stage", "test")
        if job in document.jobs and found != stage:
            text = _with_stage(document, job, stage)
            changes.append(f"job {job}: stage {stage} instead of {found}")
    left = [f for f in check_document(parse(text)) if f.rule in RULES]
    if not changes or left:
        return None
    return Fix("correct the stages", "; ".join(changes), files.model_copy(update={"pipeline": text}))


def _with_stages(document: Document) -> str:
    """The text with its `stages` entry replaced, or put before everything else that is not a comment."""
    lines = document.text.splitlines(keepends=True)
    wanted = f"stages: [{', '.join(STAGES)}]\n"
    if "stages" not in document.root:
        first = min(line for line, _ in document.positions.values()) - 1
        return "".join([*lines[:first], wanted, "\n", *lines[first:]])
    start = document.line_of(("stages",)) - 1
    end = start + 1
    while end < len(lines) and _belongs(lines[end]):
        end += 1
    return "".join([*lines[:start], wanted, *lines[end:]])


def _belongs(line: str) -> bool:
    """Whether a line goes on with the list above it: indented, or an item at the margin."""
    return line[:1] in (" ", "\t", "-", "]") and bool(line.strip())


def _with_stage(document: Document, job: str, stage: str) -> str:
    """The text with the job's own `stage` replaced or, where it has none of its own, added as its first key."""
    lines = document.text.splitlines(keepends=True)
    own = (job, "stage") in document.positions and "stage" in document.root[job]
    if own:
        number = document.line_of((job, "stage")) - 1
        lines[number] = _STAGE.sub(lambda match: match[1] + stage, lines[number], count=1)
        return "".join(lines)
    number = document.line_of((job,))
    indents = [column - 1 for path, (_, column) in document.positions.items() if path[:1] == (job,) and len(path) == 2]  # noqa: PLR2004 - a key of the job
    lines.insert(number, f"{' ' * min(indents, default=2)}stage: {stage}\n")
    return "".join(lines)
