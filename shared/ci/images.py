"""Which images the two files need, each with where it is used; and what an image is called where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ci.dockerfile_images import dockerfile_images
from shared.ci.image_use import ImageUse
from shared.ci.pipeline_images import pipeline_images
from shared.ci.private_names import RULES, NameRule, is_private, private_name, rules_of, source_name
from shared.ci.references import Reference, parse

if TYPE_CHECKING:
    from shared.events import Files

__all__ = [
    "RULES",
    "ImageUse",
    "NameRule",
    "Reference",
    "images_of",
    "is_private",
    "parse",
    "private_name",
    "rules_of",
    "source_name",
]


def images_of(files: Files) -> list[ImageUse]:
    """Every use of an image in the pipeline, then in the Dockerfile, in their order.

    The same image comes once for each place; what cannot be resolved comes with its `problem`, never dropped.
    """
    return [*pipeline_images(files.pipeline), *dockerfile_images(files.dockerfile)]
