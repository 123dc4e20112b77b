"""The images that a `.gitlab-ci.yml` needs.

Rules: GitLab's CI/CD YAML reference (`image`, `services`, `default`, `inherit`, `extends`, `!reference`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from shared.ci import located, variables
from shared.ci.image_use import ImageUse, checked
from shared.ci.located import Pointer, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# GitLab: nested `!reference` and `extends` go ten and eleven levels deep.
REFERENCE_DEPTH = 10
EXTENDS_DEPTH = 11

NOT_JOBS = frozenset({"after_script", "before_script", "cache", "default", "image", "include"}) | frozenset(
    {"services", "spec", "stages", "types", "variables", "workflow"}
)


class UnresolvedError(Exception):
    """A part of the file that points to nothing; the text says what."""


class Named(NamedTuple):
    """An image entry: the text of its name and the line where the name stands."""

    name: str
    line: int | None


def pipeline_images(text: str) -> list[ImageUse]:
    """Every use of an image by a job that can run, in the order of the file; hidden jobs count where extended."""
    try:
        document = located.read(text)
    except located.BadYamlError as error:
        return [ImageUse("", ".gitlab-ci.yml", error.line, f"the file is not valid YAML: {error}")]
    if not isinstance(document, dict):
        return [ImageUse("", ".gitlab-ci.yml", None, "the file is not a mapping of jobs")]
    found = list(_included(document))
    for name, job in document.items():
        if name not in NOT_JOBS and not name.startswith(".") and isinstance(job, dict):
            found += _job_images(name, document)
    return list(dict.fromkeys(found))


def _included(document: Mapping[str, Any]) -> Iterator[ImageUse]:
    if document.get("include"):
        line = next((key.line for key in document if key == "include" and isinstance(key, Text)), None)
        yield ImageUse("", "include", line, "images of included files are known to GitLab only")


def _job_images(name: str, document: dict[str, Any]) -> Iterator[ImageUse]:
    try:
        job = _extended(name, document)
        image, services = _effective(job, "image", document), _effective(job, "services", document)
        entries = [(f"job {name}", entry) for entry in _entries(image, document)]
        entries += [(f"service of job {name}", entry) for entry in _entries(services, document)]
    except UnresolvedError as error:
        yield ImageUse("", f"job {name}", getattr(name, "line", None), str(error))
        return
    if "trigger" in job:
        return
    for used_by, entry in entries:
        for known in variables.of_job(job, variables.declared(document.get("variables"))):
            reference, problem = variables.expand(entry.name, known)
            yield checked(reference, used_by, entry.line, problem)


def _extended(name: str, document: Mapping[str, Any], depth: int = EXTENDS_DEPTH) -> dict[str, Any]:
    """The job with all that it extends: mappings are merged, everything else is replaced, the last one wins."""
    job = document.get(name)
    if not isinstance(job, dict):
        raise UnresolvedError(f"extends {name!r}, which is not in the file")
    if not depth:
        raise UnresolvedError(f"extends {name!r} in a circle or more than {EXTENDS_DEPTH} levels deep")
    parents = job.get("extends") or []
    merged: dict[str, Any] = {}
    for parent in parents if isinstance(parents, list) else [parents]:
        merged = _deep_merge(merged, _extended(str(parent), document, depth - 1))
    return _deep_merge(merged, job)


def _deep_merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _deep_merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _effective(job: Mapping[str, Any], key: str, document: Mapping[str, Any]) -> Any:
    """The job's own value, else that of `default`, else the global one, as far as `inherit` allows."""
    if key in job:
        return job[key]
    inherit = job.get("inherit")
    rule = inherit.get("default") if isinstance(inherit, dict) else None
    if rule == "false" or (isinstance(rule, list) and key not in rule):
        return None
    default = document.get("default")
    return default[key] if isinstance(default, dict) and key in default else document.get(key)


def _entries(value: Any, document: Mapping[str, Any], depth: int = REFERENCE_DEPTH) -> list[Named]:
    """The entries of an `image` or `services` value: text, mapping with `name`, list, or pointer to one of these."""
    if isinstance(value, Pointer):
        if not depth:
            raise UnresolvedError(f"!reference {list(value.path)} in a circle or too deep")
        return _entries(_target(value, document), document, depth - 1)
    if isinstance(value, list):
        return [entry for item in value for entry in _entries(item, document, depth)]
    if isinstance(value, dict):
        return _entries(value.get("name"), document, depth)
    return [Named(str(value), getattr(value, "line", None))] if isinstance(value, str) and value else []


def _target(pointer: Pointer, document: Mapping[str, Any]) -> Any:
    value: Any = document
    for key in pointer.path:
        if not isinstance(value, dict) or key not in value:
            raise UnresolvedError(f"!reference {list(pointer.path)} points to nothing in the file")
        value = value[key]
    return value
