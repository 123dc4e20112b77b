"""`greenrun images build`: the images with compilers in them, made by buildah or docker, pushed to the registry."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenrun.exits import WrongCall
from services.seeder import decide
from services.seeder.decide import Names
from services.seeder.service import connect, have
from shared.adapters.registry_auth import auth_file, credentials_of, is_loopback
from shared.ci.images import parse
from shared.errors import GreenrunError
from shared.events import Files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from services.seeder.service import Deps
    from services.seeder.settings import Settings

BUILDERS = ("buildah", "docker")
INSTALL = "install one of them (apt-get install buildah), or build the images elsewhere and push them"
# The first line of the Dockerfile says what the image is called in the private registry.
_NAMED = re.compile(r"# image: (\S+)\n")
_REGISTRY = re.compile(r"^ARG REGISTRY(?:=.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Recipe:
    """One folder: its Dockerfile with the registry filled in, and the name of its image."""

    folder: Path
    target: str
    dockerfile: str


async def build_all(
    chosen: Sequence[str], folder: Path, settings: Settings, builder: str | None, say: Callable[[str, str], None]
) -> list[str]:
    """The names of the images that are now in the private registry; what they are made from is seeded first.

    GreenrunError says what is missing or what the builder said; Retry where a registry is not available.
    """
    recipes = recipes_in(folder, chosen, settings.nexus_registry)
    program = builder_of(builder)
    async with connect(settings, None) as deps:
        for recipe in recipes:
            await _bases(recipe, deps, settings, say)
            with auth_file(credentials_of(settings)) as auth:
                for argv in commands(program, recipe, settings, auth):
                    await _run(argv)
    return [recipe.target for recipe in recipes]


def recipes_in(folder: Path, chosen: Sequence[str], registry: str) -> list[Recipe]:
    """The images of these folders, of all where none is chosen; WrongCall where one is none."""
    found = {path.parent.name: path for path in sorted(folder.glob("*/Dockerfile"))}
    unknown = [name for name in chosen if name not in found]
    if unknown or not found:
        has = ", ".join(found) or "no folder with a Dockerfile"
        raise WrongCall(f"{folder} has {has}" + (f", and no {unknown[0]}" if unknown else "; choose another folder"))
    return [_recipe(found[name], registry) for name in chosen or found]


def _recipe(path: Path, registry: str) -> Recipe:
    text = path.read_text()
    named = _NAMED.match(text)
    if named is None:
        raise GreenrunError(f"{path} does not begin with the image's name, such as '# image: ruby:3.2-alpine-build'")
    try:
        target = parse(f"{registry}/{named[1]}")
    except ValueError as error:
        raise GreenrunError(f"{path}, line 1: {error}") from error
    return Recipe(path.parent, str(target), _REGISTRY.sub(f"ARG REGISTRY={registry}", text, count=1))


def builder_of(name: str | None) -> str:
    """The builder that was asked for, else the first that is installed; GreenrunError where there is none."""
    if name is not None and name not in BUILDERS:
        raise WrongCall(f"{name} is no builder; there are {' and '.join(BUILDERS)}")
    for one in [name] if name else BUILDERS:
        if shutil.which(one):
            return one
    raise GreenrunError(f"{name or ' and '.join(BUILDERS)} cannot be found; {INSTALL}")


def commands(program: str, recipe: Recipe, settings: Settings, auth: str) -> list[list[str]]:
    """The command lines that build and push; docker knows its users and its insecure registries itself."""
    given = ["--build-arg", f"REGISTRY={settings.nexus_registry}", "--tag", recipe.target]
    context = ["--file", str(recipe.folder / "Dockerfile"), str(recipe.folder)]
    if program == "docker":
        return [["docker", "build", *given, *context], ["docker", "push", recipe.target]]
    plain = settings.registry_insecure or is_loopback(parse(recipe.target).domain)
    reach = [*(["--tls-verify=false"] if plain else []), "--authfile", auth]
    return [
        ["buildah", "bud", "--isolation", "chroot", *reach, *given, *context],
        ["buildah", "push", *reach, recipe.target, f"docker://{recipe.target}"],
    ]


async def _bases(recipe: Recipe, deps: Deps, settings: Settings, say: Callable[[str, str], None]) -> None:
    """Have the images in the registry that the Dockerfile begins with; GreenrunError where one cannot be had."""
    names = Names(settings.nexus_registry, settings.places, settings.names)
    wanted, refused = decide.wanted(Files(pipeline="{}", dockerfile=recipe.dockerfile), names)
    images = [*refused, *[await have(image, recipe.target, deps) for image in wanted]]
    for image in images:
        if image.state in ("failed", "unresolved"):
            raise GreenrunError(f"{recipe.folder.name} is made from {image.source}, which is not there: {image.reason}")
        say(image.source, f"{image.state} as {image.target}")


async def _run(argv: Sequence[str]) -> None:
    """What the builder prints is for the person; GreenrunError where it fails."""
    process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if code:
        raise GreenrunError(f"{argv[0]} {argv[1]} ended with {code}; what it said is above")
