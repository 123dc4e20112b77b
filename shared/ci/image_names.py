"""Images whose names no registry can know."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from shared.ci import variables
from shared.ci.document import INPUT
from shared.ci.finding import Finding, at
from shared.ci.needs import listed
from shared.ci.references import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.ci.document import Document, Path

# With so many sets of variables one job is looked at.
SETS_LIMIT = 1_000


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
        for key in ("image", "services"):
            for path, image in _named(job.get(key), document.origin_of(name, key)):
                found = {variables.expand(image, known): None for known in _known(document, job)}
                yield from ((name, path, *one) for one in found)


def _named(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """The image names in an `image` or `services` value, each with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict) and isinstance(value.get("name"), str):
        yield (*path, "name"), value["name"]
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _named(item, (*path, number))


def _known(document: Document, job: Mapping[str, Any]) -> list[dict[str, str]]:
    """The variables with which a job may run: of each cell of a matrix, and over them those of each rule."""
    whole = [document.variables, *({**document.variables, **own} for own in _of_rules(document.root.get("workflow")))]
    cells = [cell for known in whole for cell in variables.of_job(job, known)]
    changed = ({**cell, **own} for own in _of_rules(job) for cell in cells)
    return list(itertools.islice(itertools.chain(cells, changed), SETS_LIMIT))


def _of_rules(section: Any) -> list[dict[str, str]]:
    """The variables of each rule of a job or of the workflow."""
    rules = listed(section.get("rules")) if isinstance(section, dict) else []
    return [variables.declared(rule["variables"]) for rule in rules if isinstance(rule, dict) and "variables" in rule]
