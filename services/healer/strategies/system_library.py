"""build_failure and missing_command: a system library, header or build tool that is not in the image.

It may install the packages that have it: in the script of the failed job before the step that failed, and in the
stages of the Dockerfile that run the same tool, with what the library needs at run time in the last stage. Behind an
air gap it may take the image with compilers in the place of its slim variant instead, where that exists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.edit import packages
from services.healer.edit.dockerfile import stages_of
from services.healer.edit.images import with_tag
from services.healer.knowledge.distributions import family_of
from services.healer.knowledge.libraries import missing_in
from services.healer.strategies.fix import Fix
from shared.ci.images import images_of, is_private, parse
from shared.recipes.library import load

if TYPE_CHECKING:
    from services.healer.failure import Failure
    from services.healer.knowledge.libraries import Library

# Tools that build the same things: what one of them misses in a job, it misses in the Dockerfile.
_TOOLS = (
    r"pip3?|poetry|uv|pipenv|pdm|python3?",
    r"npm|yarn|pnpm|npx|node|corepack",
    r"bundle|gem|ruby|rake",
    r"cargo|rustc",
    r"go",
    r"make|cmake|gcc|g\+\+|cc|ninja|meson|\./configure|autoreconf",
    r"composer|php|docker-php-ext-install|pecl",
    r"mvn|gradle|\./mvnw|\./gradlew|java",
    r"mix|elixir",
    r"stack|cabal",
    r"conda|mamba",
)
_ANY = re.compile("|".join(rf"(?<![\w./-])(?:{tools})(?![\w-])" for tools in _TOOLS))
_WHERE_IT_RUNS = re.compile(r"cannot open shared object file|Error loading shared library|no library called")
# Recipes whose full image has what their slim one has not.
_WITH_FULL_IMAGES = {"python": "python", "node": "javascript", "ruby": "ruby"}
_SLIM = re.compile(r"-slim(?:-\w+)?$|-alpine[\d.]*$|^(?:slim|alpine)$")


def images(failure: Failure) -> list[str]:
    """The images whose tags must be known for this repair: behind an air gap those with a fuller variant."""
    return _slim(failure) if failure.air_gapped and missing_in(failure.said) else []


def repair(failure: Failure) -> Fix | None:
    """The packages of the library that the log misses; None where it misses none, or they cannot be installed."""
    found = missing_in(failure.said)
    if found is None:
        return None
    library, line = found
    if failure.air_gapped:
        return _fuller(failure, library)
    run = library.run or library.packages if _WHERE_IT_RUNS.search(line) else {}
    wanted = {**library.packages, **run} if run else library.packages
    changed = failure.files.model_copy(
        update={
            "pipeline": (None if failure.builds_image else packages.in_job(failure, wanted)) or failure.files.pipeline,
            "dockerfile": packages.in_dockerfile(failure.files.dockerfile, wanted, _needing(failure), library.run),
        }
    )
    if changed.pipeline == failure.files.pipeline and not failure.builds_image:
        return None
    if changed == failure.files:
        return None
    images = [stage.image for stage in stages_of(failure.files.dockerfile)] if failure.builds_image else [failure.image]
    names = next(
        (wanted[family.name] for image in images if (family := family_of(image)) and family.name in wanted), ""
    )
    return Fix(
        "install what is missing", f"{library.name} is missing: {names} installed, for {line.strip()[:120]!r}", changed
    )


def _needing(failure: Failure) -> re.Pattern[str]:
    """Which commands of the Dockerfile need it: those of the tool that failed in the job, else any that build."""
    command = failure.command if failure.step and not failure.builds_image else ""
    for tools in _TOOLS:
        tool = re.compile(rf"(?<![\w./-])(?:{tools})(?![\w-])")
        if command and tool.search(command):
            return tool
    return _ANY


def _slim(failure: Failure) -> list[str]:
    """The slim images of the files that have a fuller variant."""
    found = {use.reference: None for use in images_of(failure.files) if not use.problem}
    return [
        reference
        for reference in found
        if is_private(reference, failure.registry)
        and parse(reference).repository.rpartition("/")[2] in _WITH_FULL_IMAGES
        and _SLIM.search(parse(reference).tag or "")
    ]


def _fuller(failure: Failure, library: Library) -> Fix | None:
    """Each slim image without `-slim`, where its full variant has the library and can be had."""
    files, names = failure.files, []
    for target in _slim(failure):
        image = parse(target)
        has = set(load(_WITH_FULL_IMAGES[image.repository.rpartition("/")[2]])["full_images_have"]) | {"libc6-dev"}
        full = _SLIM.sub("", image.tag or "")
        there = target in failure.tags and full in failure.tags[target].all
        changed = with_tag(files, target, full, failure.registry) if there and _within(library, has) else None
        if changed:
            files = changed
            names.append(f"{target.removeprefix(f'{failure.registry}/')} becomes {full}")
    if not names:
        return None
    return Fix("take the image that has it", f"{library.name} is missing: {'; '.join(names)}", files)


def _within(library: Library, has: set[str]) -> bool:
    return set(library.packages.get("apt", "?").split()) <= has
