"""The recipes as templates of the store: one for each language, package manager and framework that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ci.images import RULES, NameRule
from shared.ci.parameters import NO_REGISTRY
from shared.ci.stages import STAGES
from shared.events import Analysis, Template
from shared.recipes.library import NAMES, load, release_of
from shared.recipes.renderer import Runner, render

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECTION = "pipeline_templates"
# What the ids of the library's own entries begin with; every other template is somebody's.
PREFIX = "recipe_"


def entries(names: tuple[NameRule, ...] = RULES) -> Iterator[Template]:
    """Every entry, its images named by these rules.

    Its id ends with the hash of its files: a newer library has other ids for what it changed.
    """
    runner = Runner(names=names)
    for name in NAMES:
        recipe = load(name)
        for language in recipe["languages"]:
            for manager in recipe["managers"]:
                for framework in (None, *recipe.get("stacks", ())):
                    analysis = Analysis(
                        language=language,
                        package_manager=None if manager == "none" else manager,
                        framework=framework,
                        release=release_of(recipe, None),
                    )
                    yield _entry(analysis, runner)


def _entry(analysis: Analysis, runner: Runner) -> Template:
    language, manager = analysis.language, analysis.package_manager
    files = render(analysis, registry=NO_REGISTRY, runner=runner)
    if files is None:
        raise ValueError(f"the recipe of {language} does not render for {manager}")
    return Template(
        id=f"{PREFIX}{language}_{analysis.framework or 'none'}_{manager or 'none'}_{files.digest()[:12]}",
        collection=COLLECTION,
        language=language,
        framework=analysis.framework,
        version=analysis.release,
        package_manager=manager,
        stages_count=len(STAGES),
        pipeline=files.pipeline,
        dockerfile=files.dockerfile,
    )
