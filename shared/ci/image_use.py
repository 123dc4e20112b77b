"""One place where a file names an image."""

from __future__ import annotations

from dataclasses import dataclass

from shared.ci.references import parse


@dataclass(frozen=True)
class ImageUse:
    """An image as its file names it, variables expanded; `problem` says why it cannot be resolved, or is empty.

    `line` counts from 1 in the file that `used_by` is about; None where it is not known.
    """

    reference: str
    used_by: str
    line: int | None = None
    problem: str = ""


def checked(reference: str, used_by: str, line: int | None, problem: str = "") -> ImageUse:
    """The use, with the grammar's objection as its problem where it has no other."""
    if not problem:
        try:
            parse(reference)
        except ValueError as error:
            problem = str(error)
    return ImageUse(reference, used_by, line, problem)
