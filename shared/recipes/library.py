"""The library of recipes: YAML files, one for each kind of language, and what of them holds for one repository."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from shared.events import Analysis

HERE = Path(__file__).parent
NAMES = (
    *("python", "javascript", "ruby", "jvm", "scala", "clojure", "go", "rust", "php", "dotnet", "elixir", "dart"),
    *("swift", "native", "haskell", "static", "shell"),
)
TOOLS, SERVICES = "tools", "services"
BUILDERS = ("kaniko", "buildah", "buildkit")
# What a framework or a package manager may say otherwise than its language; `jobs`, `images` and `values` are merged.
MERGED = ("jobs", "images", "values", "variables")


def recipe_for(analysis: Analysis) -> dict[str, Any] | None:
    """The recipe of the language with what its package manager and then its framework say otherwise.

    None where there is none for the language, or none for its package manager: another one's commands would only fail.
    `manager` is the package manager's name, `release` the one that the images are tagged with.
    """
    name = _by_language().get(analysis.language)
    if name is None:
        return None
    recipe = load(name)
    manager = analysis.package_manager or recipe["default_manager"]
    if manager not in recipe["managers"]:
        return None
    chosen = _over(recipe, recipe["managers"][manager])
    framework = recipe.get("frameworks", {}).get(analysis.framework or "", {})
    if not framework.get("needs_build") or analysis.commands.build:
        chosen = _over(chosen, framework)
    return chosen | {"manager": manager, "release": release_of(recipe, analysis.release)}


def release_of(recipe: dict[str, Any], release: str | None) -> str:
    """The release as the images' tags have it, by the recipe's pattern; the recipe's own where the pattern finds none.

    Without a pattern it is kept exactly as it was found: whether it exists is for the registry to say.
    """
    pattern = recipe.get("release_pattern")
    if release is None or pattern is None:
        return release or str(recipe["default_version"])
    found = re.match(pattern, release)
    return next((group for group in found.groups() if group), release) if found else str(recipe["default_version"])


def source_images() -> tuple[str, ...]:
    """The full source name of every image that the recipes use, for all versions that they know."""
    tools = load(TOOLS)
    images = {image for image in tools.values() if isinstance(image, str)}
    images |= {service["image"] for service in load(SERVICES).values()}
    for builder in tools["builders"].values():
        images |= {builder["image"], builder.get("privileged", {}).get("image", builder["image"])}
    for name in NAMES:
        recipe = load(name)
        images |= {
            image.format(version=version)
            for holder in (recipe, *recipe["managers"].values(), *recipe.get("frameworks", {}).values())
            for image in (
                holder.get("image"),
                *holder.get("images", {}).values(),
                *holder.get("full_images", {}).values(),
            )
            if image
            for version in recipe["versions"]
        }
    return tuple(sorted(images))


@cache
def load(name: str) -> dict[str, Any]:
    """One file of the library."""
    document: dict[str, Any] = yaml.safe_load((HERE / f"{name}.yml").read_text())
    return document


@cache
def _by_language() -> dict[str, str]:
    return {language: name for name in NAMES for language in load(name)["languages"]}


def _over(recipe: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The recipe with these entries over its own."""
    merged = {key: {**recipe.get(key, {}), **said.get(key, {})} for key in MERGED}
    return {**recipe, **said, **merged}
