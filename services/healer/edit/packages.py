"""System packages put into a job or into the stages of a Dockerfile, in the style that the file already has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.healer.edit.dockerfile import as_root, lines_of_instruction, stages_of, with_lines
from services.healer.edit.pipeline import with_commands, with_step
from services.healer.knowledge.distributions import family_of, is_root

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from services.healer.edit.dockerfile import Stage
    from services.healer.failure import Failure
    from services.healer.knowledge.distributions import Family


def in_job(failure: Failure, packages: Mapping[str, str]) -> str | None:
    """The pipeline with these packages (by package manager) installed before what failed; None where that cannot be.

    Where the job installs some already they are added there, else a command comes before the step that failed, wherever
    that is written: other jobs that share it need them too.
    """
    family = family_of(failure.image)
    if family is None or family.name not in packages or not is_root(failure.image) or not failure.steps:
        return None
    target = failure.step or failure.steps[0]
    for step in failure.steps[: failure.steps.index(target) + 1]:
        added = _added(step.text, family, packages[family.name])
        if added == step.text:
            return None
        changed = with_step(failure.document, step, added) if added else None
        if changed:
            return changed
    return with_commands(failure.document, target.path, [family.command.format(packages[family.name])])


def in_dockerfile(text: str, packages: Mapping[str, str], needed_by: re.Pattern[str], run: Mapping[str, str]) -> str:
    """The Dockerfile with these packages in each stage that runs such a command, and those of `run` in the last stage.

    Unchanged where no stage runs one, or nothing can be installed there.
    """
    stages = stages_of(text)
    building = [number for number, stage in enumerate(stages) if stage.running(needed_by)]
    if not building:
        return text
    final = len(stages) - 1
    if final not in building and stages[final].image:
        text = _in_stage(text, stages[final], run)
    # From the last to the first: the numbers of lines above stay what they are.
    for number in reversed(building):
        text = _in_stage(text, stages[number], packages)
    return text


def _in_stage(text: str, stage: Stage, packages: Mapping[str, str]) -> str:
    family = family_of(stage.image)
    if family is None or family.name not in packages:
        return text
    for instruction in stage.instructions:
        if instruction.word == "RUN":
            start, end = lines_of_instruction(text, instruction)
            lines = text.splitlines(keepends=True)
            added = _added("".join(lines[start - 1 : end - 1]), family, packages[family.name])
            if added:
                return "".join([*lines[: start - 1], added, *lines[end - 1 :]])
    first = next((one for one in stage.instructions if one.word in ("RUN", "COPY", "ADD", "USER")), None)
    line = first.line if first else stage.instructions[-1].line + 1
    return with_lines(text, line, as_root(stage, line, family.instruction.format(packages[family.name])))


def _added(command: str, family: Family, packages: str) -> str | None:
    """The command with packages added to those that it installs; None where it installs none in that way."""
    found = family.existing.search(command)
    if not found:
        return None
    known = set(command.replace("=", " ").split())
    missing = [name for name in packages.split() if name not in known]
    more = f" {' '.join(missing)}" if missing else ""
    return f"{command[: found.end()]}{more}{command[found.end() :]}"
