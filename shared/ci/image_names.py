"""Images whose names no registry can know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.ci import variables
from shared.ci.document import INPUT
from shared.ci.finding import Finding, at
from shared.ci.references import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.ci.document import Document, Path


def check_image_names(document: Document) -> Iterator[Finding]:
    """One finding for each place with an impossible name; one with variables that are not known is left alone."""
    said: set[tuple[Path, str]] = set()
    for name, path, reference, problem in images_of_jobs(document):
        wrong = "" if problem or INPUT in reference else objection(reference)
        if wrong and (path, reference) not in said:
            said.add((path, reference))
            yield at(document, path, "image-name", f"job {name!r}: {wrong}")


def objection(reference: str) -> str:
    """Why this is no name of an image, or nothing."""
    try:
        parse(reference)
    except ValueError as error:
        return str(error)
    return ""


def images_of_jobs(document: Document) -> Iterator[tuple[str, Path, str, str]]:
    """Job, path, name with its variables expanded, and why that did not succeed (or nothing), for each image used."""
    for name, job in document.resolved.items():
        known = variables.of_job(_texts(job), document.variables)[:1]
        for key in ("image", "services"):
            for path, image in _named(job.get(key), document.origin_of(name, key)):
                yield name, path, *variables.expand(image, known[0] if known else document.variables)


def _named(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """The image names in an `image` or `services` value, each with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict) and isinstance(value.get("name"), str):
        yield (*path, "name"), value["name"]
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _named(item, (*path, number))


def _texts(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job with its own variables as text, as expansion wants them."""
    own = job.get("variables")
    pairs = own.items() if isinstance(own, dict) else ()
    return {**job, "variables": {name: str(value) for name, value in pairs if isinstance(value, str | int | float)}}
