"""The template library: pipelines and Dockerfiles per stack, as data plus one renderer."""

from shared.recipes.renderer import BUILDERS, render, source_images

__all__ = ["BUILDERS", "render", "source_images"]
