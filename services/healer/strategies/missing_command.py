"""missing_command: a program that the job's image has not.

It may install the program before the step that failed, by the image's own package manager or that of its language, and
in the stages of the Dockerfile that run it; or give the one job the image that has it. Behind an air gap it installs
nothing: only another image can help.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.edit import packages
from services.healer.edit.dockerfile import as_root, failed_run, with_lines
from services.healer.edit.pipeline import with_commands, with_key, with_scalar
from services.healer.knowledge.distributions import family_of, is_root
from services.healer.knowledge.programs import missing_program, programs
from services.healer.strategies.fix import Fix
from shared.ci.images import parse, private_name
from shared.recipes.library import load, release_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.healer.failure import Failure
    from services.healer.knowledge.programs import Program


def images(failure: Failure) -> list[str]:
    """The images whose tags must be known for this repair: those that have the program."""
    program = _program(failure)
    return [name] if program and (name := _image_with(failure, program)) else []


def repairs(failure: Failure) -> Iterator[Fix]:
    """The image that has it where the project is of that language, else the program installed, else that image."""
    program = _program(failure)
    if program is None:
        return
    found = [_other_image(failure, program), _installed(failure, program)]
    if not program.recipe or failure.analysis.language not in load(program.recipe)["languages"]:
        found.reverse()
    yield from (fix for fix in found if fix)


def _program(failure: Failure) -> Program | None:
    said = missing_program(failure.near)
    name = said[0] if said else ""
    return None if name.startswith("./") else programs().get(name.rpartition("/")[2])


def _installed(failure: Failure, program: Program) -> Fix | None:
    """The program installed where the job, or the build of the image, misses it."""
    if failure.air_gapped:
        return None
    if failure.builds_image:
        return _installed_in_dockerfile(failure, program)
    command = next((line for end, line in program.commands.items() if _is(failure.image, end)), None)
    if command and failure.steps:
        step = failure.step or failure.steps[-1]
        text = with_commands(failure.document, step.path, [command])
    else:
        command = program.packages.get(_manager(failure.image), "")
        text = packages.in_job(failure, program.packages) if command else None
    if text is None:
        return None
    needed_by = re.compile("|".join(rf"(?<![\w./-]){re.escape(name)}(?![\w-])" for name in program.names))
    dockerfile = failure.files.dockerfile
    if program.packages:
        dockerfile = packages.in_dockerfile(dockerfile, program.packages, needed_by, {})
    summary = f"{program.names[0]} is installed: {command}"
    return Fix(
        "install the program", summary, failure.files.model_copy(update={"pipeline": text, "dockerfile": dockerfile})
    )


def _installed_in_dockerfile(failure: Failure, program: Program) -> Fix | None:
    ran = failed_run(failure.files.dockerfile, failure.lines)
    text = failure.files.dockerfile
    command = next((line for end, line in program.commands.items() if ran and _is(ran[0].image, end)), None)
    if ran and command:
        changed = with_lines(text, ran[1].line, as_root(ran[0], ran[1].line, f"RUN {command}"))
    else:
        names = [name for name in program.names if not ran or name in ran[1].rest] or list(program.names)
        pattern = re.escape(ran[1].rest) if ran else "|".join(rf"(?<![\w./-]){re.escape(n)}(?![\w-])" for n in names)
        changed = packages.in_dockerfile(text, program.packages, re.compile(pattern), {})
    if changed == text:
        return None
    files = failure.files.model_copy(update={"dockerfile": changed})
    return Fix("install the program", f"{program.names[0]} is installed in the Dockerfile before it is run", files)


def _other_image(failure: Failure, program: Program) -> Fix | None:
    """The job in the image that has the program, where the registry or the image's source has it."""
    target = _image_with(failure, program)
    known = failure.tags.get(target)
    if (
        not target
        or not failure.known
        or known is None
        or parse(target).tag not in known.all
        or target == failure.image
    ):
        return None
    document, name = failure.document, target.removeprefix(f"{failure.registry}/")
    named = document.variables.get("REGISTRY") == failure.registry
    written = f"${{REGISTRY}}/{name}" if named else target
    own = document.root[failure.name].get("image") if isinstance(document.root.get(failure.name), dict) else None
    if own is None:
        text = with_key(document, failure.name, [f"image: {written}"])
    else:
        path = (failure.name, "image", "name") if isinstance(own, dict) else (failure.name, "image")
        text = with_scalar(document, path, written)
    if text is None:
        return None
    summary = f"job {failure.name} runs in {name}, which has {program.names[0]}"
    return Fix("take the image that has it", summary, failure.files.model_copy(update={"pipeline": text}))


def _image_with(failure: Failure, program: Program) -> str:
    """The private name of the image that has a program, of a recipe or among the tools; empty where none is known."""
    if program.tool:
        return private_name(load("tools")[program.tool], failure.registry, failure.where.names)
    if not program.recipe:
        return ""
    recipe = load(program.recipe)
    image = recipe["managers"].get(program.manager, {}).get("image", recipe["image"])
    own = failure.analysis.release if failure.analysis.language in recipe["languages"] else None
    return private_name(image.format(version=release_of(recipe, own)), failure.registry, failure.where.names)


def _manager(image: str) -> str:
    family = family_of(image)
    return family.name if family and is_root(image) else ""


def _is(image: str, toolchain: str) -> bool:
    return bool(image) and parse(image).repository.rpartition("/")[2] == toolchain
