"""GitLab's own JSON schema for `.gitlab-ci.yml` (MIT, see gitlab-ci.schema.LICENSE.txt), asked key by key."""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from shared.ci.finding import Finding, at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from shared.ci.document import Document

SCHEMA = Path(__file__).with_name("gitlab-ci.schema.json")
SAID_LIMIT = 200


def check_schema(document: Document) -> Iterator[Finding]:
    """One finding, the most telling, for each top-level key that the schema refuses."""
    for key, value in document.resolution.root.items():
        # What a reference from elsewhere brings is not known here; hidden keys may hold anything.
        if key.startswith(".") or key in document.resolution.unknown:
            continue
        validator = _validator(key if key in _schema()["properties"] else "")
        if not validator.is_valid(value):
            error = best_match(validator.iter_errors(value))
            if error is not None:
                yield _finding(document, key, error)


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
