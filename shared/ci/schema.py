"""GitLab's own JSON schema for `.gitlab-ci.yml` (MIT, see gitlab-ci.schema.LICENSE.txt), asked key by key."""

from __future__ import annotations

import difflib
import json
import pathlib
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from shared.ci.document import INPUT
from shared.ci.finding import Finding, at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from shared.ci.document import Document, Path

SCHEMA = pathlib.Path(__file__).with_name("gitlab-ci.schema.json")
SAID_LIMIT = 200
# GitLab takes a keyword of a job (or of one of its sections) with nothing after the colon as not written.
NULLS_DEPTH = 2
UNKNOWN = object()


def check_schema(document: Document) -> Iterator[Finding]:
    """One finding, the most telling, for each top-level key that the schema refuses; jobs with what they extend."""
    said: set[tuple[int, int, str]] = set()
    for key, value in document.resolution.root.items():
        # What a reference from elsewhere brings is not known here; hidden keys may hold anything.
        if key.startswith(".") or key in document.resolution.unknown or INPUT in key:
            continue
        keyword = key if key in _schema()["properties"] else ""
        job = document.resolution.extended.get(key)
        error = _error(keyword, value if job is None else {**job, **_extends(value)})
        if error is not None:
            finding = _finding(document, key, error)
            # What several jobs extend is wrong once.
            place = (finding.line, finding.column, finding.message.partition(".")[2])
            if place not in said:
                yield finding
            said.add(place)


def _extends(job: Any) -> dict[str, Any]:
    """What the job itself extends, which its merged form has no more."""
    return {"extends": job["extends"]} if isinstance(job, dict) and "extends" in job else {}


def _error(keyword: str, value: Any) -> ValidationError | None:
    """Why the schema refuses the value of a keyword (of a job, where there is none), or None."""
    known = UNKNOWN if keyword and value is None else _known(_one_of_many(value) if keyword == "include" else value)
    validator = _validator(keyword)
    return None if known is UNKNOWN or validator.is_valid(known) else best_match(validator.iter_errors(known))


def _one_of_many(value: Any) -> Any:
    """An `include` with a path in the place of patterns and variables, which its schema does not foresee."""
    if isinstance(value, dict):
        return {key: _one_of_many(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_one_of_many(item) for item in value]
    return "one.yml" if isinstance(value, str) and ("*" in value or value.startswith("$")) else value


def _known(value: Any, depth: int = 0) -> Any:
    """The value without what GitLab does not look at: keywords with nothing in them, and what an input decides."""
    if isinstance(value, list):
        unknown = any(isinstance(item, str) and INPUT in item for item in value)
        return UNKNOWN if unknown else [_known(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return UNKNOWN if isinstance(value, str) and INPUT in value else value
    known = {key: _known(item, depth + 1) for key, item in value.items() if not (item is None and depth < NULLS_DEPTH)}
    if isinstance(known.get("needs"), dict) and "pipeline" in known["needs"]:
        # GitLab takes this one need without a list around it (`needs:pipeline`); its schema does not know.
        del known["needs"]
    return {key: item for key, item in known.items() if item is not UNKNOWN and INPUT not in key}


def _finding(document: Document, key: str, error: ValidationError) -> Finding:
    path = (key, *error.absolute_path)
    unknown = _unknown_key(error)
    if unknown:
        path, near = (*path, unknown), _nearest(unknown, error)
        message = f"{_where(path)}: GitLab knows no such key"
        return at(document, _written(document, path), "schema", message, fix=near or None)
    return at(document, _written(document, path), "schema", f"{_where(path)}: {_said(error)}")


def _written(document: Document, path: Path) -> Path:
    """The path at which a job's value is written: in the job, or in what it extends."""
    if len(path) == 1 or path in document.positions or path[0] not in document.jobs:
        return path
    return (*document.origin_of(str(path[0]), str(path[1])), *path[2:])


def _unknown_key(error: ValidationError) -> str:
    """The key that `additionalProperties` refuses, or nothing."""
    if error.validator != "additionalProperties" or not isinstance(error.instance, dict):
        return ""
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    return next((str(key) for key in error.instance if key not in known), "")


def _nearest(key: str, error: ValidationError) -> str:
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    return next(iter(difflib.get_close_matches(key, list(known), 1)), "")


def _where(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path)


def _said(error: ValidationError) -> str:
    if error.validator == "enum" and isinstance(error.validator_value, list):
        return f"{error.instance!r} is none of {', '.join(str(v) for v in error.validator_value)}"[:SAID_LIMIT]
    return error.message if len(error.message) <= SAID_LIMIT else f"{error.message[:SAID_LIMIT]}…"


@cache
def _schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(SCHEMA.read_text())
    return document


@cache
def _validator(key: str) -> Draft7Validator:
    """The validator of one top-level keyword; the empty key is a job."""
    schema = _schema()
    part = schema["properties"][key] if key else {"$ref": "#/definitions/job"}
    return Draft7Validator({**part, "definitions": schema["definitions"]} if key else {**part, **_definitions()})


def _definitions() -> dict[str, Any]:
    return {"definitions": _schema()["definitions"]}
