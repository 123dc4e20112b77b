"""dependency_resolution: the toolchain's version, a lock file or pin that does not fit, a package manager's version.

Beside what `toolchain_version` says it may change how dependencies are installed: an option of the command that
installs them, its version, or one command before it; in the scripts of the failed job and in the Dockerfile alike.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from services.healer.edit.dockerfile import as_root, lines_of_instruction, stages_of, with_lines
from services.healer.edit.pipeline import with_commands, with_step
from services.healer.knowledge.locks import way_out
from services.healer.strategies import toolchain_version
from services.healer.strategies.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.healer.failure import Failure
    from services.healer.knowledge.locks import Way

images = toolchain_version.images


def repairs(failure: Failure) -> Iterator[Fix]:
    """The toolchain's version where the log asks for one, else what can be done about lock file or pin."""
    version = toolchain_version.repair(failure)
    if version:
        yield version
    way = way_out(failure.said)
    if way is None:
        return
    pipeline = failure.files.pipeline if failure.builds_image else _in_job(failure, way)
    files = failure.files.model_copy(
        update={"pipeline": pipeline, "dockerfile": _in_dockerfile(failure.files.dockerfile, way)}
    )
    if files != failure.files:
        yield Fix("install otherwise", way.why, files)


def _in_job(failure: Failure, way: Way) -> str:
    """The pipeline with the job's commands changed; each edit moves the lines, so the file is read anew after it."""
    for old, new in way.replace.items():
        for number in range(len(failure.steps)):
            step = failure.steps[number]
            changed = re.sub(old, new, step.text)
            text = with_step(failure.document, step, changed) if changed != step.text else None
            failure = _after(failure, text)
    for command, at in way.before.items():
        step_found = next((step for step in failure.steps if re.search(at, step.text)), None)
        if step_found and not any(step.text.startswith(command) for step in failure.steps):
            failure = _after(failure, with_commands(failure.document, step_found.path, [command]))
    return failure.files.pipeline


def _after(failure: Failure, text: str | None) -> Failure:
    return replace(failure, files=failure.files.model_copy(update={"pipeline": text})) if text else failure


def _in_dockerfile(text: str, way: Way) -> str:
    """The Dockerfile with the same changes in its RUN instructions."""
    for old, new in way.replace.items():
        text = _with_runs_changed(text, re.compile(old), new)
    for command, at in way.before.items():
        # The last that matches has the sources beside the manifests.
        found = [(stage, one) for stage in stages_of(text) for one in stage.running(re.compile(at))]
        for stage, one in found[-1:]:
            text = with_lines(text, one.line, as_root(stage, one.line, f"RUN {command}"))
    return text


def _with_runs_changed(text: str, old: re.Pattern[str], new: str) -> str:
    """The text with the pattern replaced in each RUN that it matches, from the last to the first."""
    runs = [one for stage in stages_of(text) for one in stage.running(old)]
    for one in reversed(runs):
        start, end = lines_of_instruction(text, one)
        lines = text.splitlines(keepends=True)
        changed = old.sub(new, "".join(lines[start - 1 : end - 1]))
        text = "".join([*lines[: start - 1], changed, *lines[end - 1 :]])
    return text
