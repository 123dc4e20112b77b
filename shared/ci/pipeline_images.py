"""The images that a `.gitlab-ci.yml` needs.

Rules: GitLab's CI/CD YAML reference (`image`, `services`); what a job is after `extends`, `!reference` and `default`
is the document's to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.ci import document, variables
from shared.ci.image_use import ImageUse, checked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.ci.document import Document, Path

FILE = ".gitlab-ci.yml"
# By these a tool is told which image of the private registry it reads while a job runs.
READ_BY_TOOLS = ("TRIVY_DB_REPOSITORY", "TRIVY_JAVA_DB_REPOSITORY")


def pipeline_images(text: str) -> list[ImageUse]:
    """Every use of an image by a job that can run, in the order of the file; hidden jobs count where extended."""
    pipeline = document.parse(text)
    if not pipeline.readable:
        return list(_unreadable(pipeline))
    found = [*_included(pipeline), *_lost(pipeline)]
    for name, job in pipeline.resolved.items():
        if "trigger" not in job:
            found += _job_images(name, job, pipeline)
    found += _read_by_tools(pipeline)
    return list(dict.fromkeys(found))


def _unreadable(pipeline: Document) -> Iterator[ImageUse]:
    for problem in pipeline.problems:
        line = problem.position[0] if problem.position else None
        yield ImageUse("", FILE, line, f"the file is not valid YAML: {problem.message}")


def _included(pipeline: Document) -> Iterator[ImageUse]:
    if pipeline.root.get("include"):
        yield ImageUse(
            "", "include", pipeline.line_of(("include",)), "images of included files are known to GitLab only"
        )


def _lost(pipeline: Document) -> Iterator[ImageUse]:
    """Where an image could come from, but what it is taken from is not in the file."""
    for problem in pipeline.resolution.problems:
        if {"image", "services", "extends"} & {str(part) for part in problem.path}:
            line = problem.position[0] if problem.position else pipeline.line_of(problem.path)
            yield ImageUse("", f"job {problem.path[0]}", line, problem.message)


def _job_images(name: str, job: Mapping[str, Any], pipeline: Document) -> Iterator[ImageUse]:
    entries = [(f"job {name}", *entry) for entry in _entries(job.get("image"), pipeline.origin_of(name, "image"))]
    origin = pipeline.origin_of(name, "services")
    entries += [(f"service of job {name}", *entry) for entry in _entries(job.get("services"), origin)]
    cells = variables.of_job(job, pipeline.variables)
    for used_by, image, path in entries:
        for known in cells:
            reference, problem = variables.expand(image, known)
            yield checked(reference, used_by, pipeline.line_of(path), problem)


def _read_by_tools(pipeline: Document) -> Iterator[ImageUse]:
    """What no job starts but a tool in it reads from the registry; elsewhere it is not greenrun's to bring."""
    known = pipeline.variables
    registry, _ = variables.expand("$REGISTRY/", known)
    for name in READ_BY_TOOLS:
        reference, problem = variables.expand(f"${name}", known)
        if name in known and not problem and reference.startswith(registry):
            yield checked(reference, f"variable {name}", pipeline.line_of(("variables", name)))


def _entries(value: Any, path: Path) -> Iterator[tuple[str, Path]]:
    """Name and place of each entry of an `image` or `services` value: text, mapping with `name`, or a list of these."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _entries(item, (*path, number))
    elif isinstance(value, dict):
        yield from _entries(value.get("name"), (*path, "name"))
    elif value is not None:
        yield variables.as_text(value), path
