"""GitLab's own JSON schema for `.gitlab-ci.yml` (MIT, see gitlab-ci.schema.LICENSE.txt), asked key by key."""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from shared.ci.document import INPUT
from shared.ci.finding import Finding, at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from shared.ci.document import Document

SCHEMA = Path(__file__).with_name("gitlab-ci.schema.json")
SAID_LIMIT = 200
# GitLab takes a keyword of a job (or of one of its sections) with nothing after the colon as not written.
NULLS_DEPTH = 2
UNKNOWN = object()


def check_schema(document: Document) -> Iterator[Finding]:
    """One finding, the most telling, for each top-level key that the schema refuses."""
    for key, value in document.resolution.root.items():
        # What a reference from elsewhere brings is not known here; hidden keys may hold anything.
        if key.startswith(".") or key in document.resolution.unknown or INPUT in key:
            continue
        validator, known = _validator(key if key in _schema()["properties"] else ""), _known(value)
        if known is not UNKNOWN and not validator.is_valid(known):
            error = best_match(validator.iter_errors(known))
            if error is not None:
                yield _finding(document, key, error)


def _known(value: Any, depth: int = 0) -> Any:
    """The value without what GitLab does not look at: keywords with nothing in them, and what an input decides."""
    if isinstance(value, list):
        unknown = any(isinstance(item, str) and INPUT in item for item in value)
        return UNKNOWN if unknown else [_known(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return UNKNOWN if isinstance(value, str) and INPUT in value else value
    known = {key: _known(item, depth + 1) for key, item in value.items() if not (item is None and depth < NULLS_DEPTH)}
    return {key: item for key, item in known.items() if item is not UNKNOWN and INPUT not in key}


def _finding(document: Document, key: str, error: ValidationError) -> Finding:
    path = (key, *error.absolute_path)
    unknown = _unknown_key(error)
    if unknown:
        path, near = (*path, unknown), _nearest(unknown, error)
        fix = near or None
        return at(document, path, "schema", f"{_where(path)}: GitLab knows no such key", fix=fix)
    return at(document, path, "schema", f"{_where(path)}: {_said(error)}")


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
