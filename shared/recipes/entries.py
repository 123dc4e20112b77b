"""The recipes as templates of the store: one for each language, package manager and framework that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ci.parameters import NO_REGISTRY
from shared.ci.stages import STAGES
from shared.events import Analysis, Template
from shared.recipes.library import NAMES, load, release_of
from shared.recipes.renderer import render

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECTION = "pipeline_templates"
# What the ids of the library's own entries begin with; every other template is somebody's.
PREFIX = "recipe_"


def entries() -> Iterator[Template]:
    """Every entry. Its id ends with the hash of its files: a newer library has other ids for what it changed."""
    for name in NAMES:
        recipe = load(name)
        for language in recipe["languages"]:
            for manager in recipe["managers"]:
                for framework in (None, *recipe.get("stacks", ())):
                    yield _entry(language, None if manager == "none" else manager, framework, release_of(recipe, None))


def _entry(language: str, manager: str | None, framework: str | None, release: str) -> Template:
    analysis = Analysis(language=language, package_manager=manager, framework=framework, release=release)
    files = render(analysis, registry=NO_REGISTRY)
    if files is None:
        raise ValueError(f"the recipe of {language} does not render for {manager}")
    return Template(
        id=f"{PREFIX}{language}_{framework or 'none'}_{manager or 'none'}_{files.digest()[:12]}",
        collection=COLLECTION,
        language=language,
        framework=framework,
        version=release,
        package_manager=manager,
        stages_count=len(STAGES),
        pipeline=files.pipeline,
        dockerfile=files.dockerfile,
    )
