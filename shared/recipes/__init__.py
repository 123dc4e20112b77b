"""The template library: pipelines and Dockerfiles per stack, as data plus one renderer."""

from shared.recipes.library import BUILDERS, source_images
from shared.recipes.renderer import Runner, render

__all__ = ["BUILDERS", "Runner", "render", "source_images"]
