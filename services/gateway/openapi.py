"""The OpenAPI 3.1 document, made from the table of endpoints and the models; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway.documents import EventDocument, Problem
from services.gateway.routes import ENDPOINTS, LIST_OF_EVENTS, METRICS, STREAM, TEXT, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = "#/components/schemas/{model}"
IN_PATH = re.compile(r"\{(\w+)\}")
PATH_SCHEMAS = {
    "run_id": {"type": "string", "pattern": "^[0-9A-Za-z]{1,64}$"},
    "job": {"type": "integer", "minimum": 0, "maximum": 10**15},
    "letter": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[a-z0-9.]+$"},
    "template_id": {"type": "string", "minLength": 1, "maxLength": 200},
}
REFUSALS = {
    400: "the request cannot be read",
    401: "no token, or none that counts",
    403: "the token's role is not enough",
    404: "there is no such thing",
    409: "the state does not allow it",
    413: "the body is too large",
    422: "something in the request cannot be; the detail names it",
    429: "too many requests; Retry-After says when",
    503: "something outside is not available now, or all streams are taken",
}
ABOUT = {
    "title": "greenrun",
    "version": "1",
    "description": "From a repository URL to a green GitLab CI pipeline. Errors are problem details (RFC 9457).",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    bearer = {"type": "http", "scheme": "bearer", "description": "a token of `greenrun token create`, or GATEWAY_TOKEN"}
    return {
        "openapi": "3.1.0",
        "info": ABOUT,
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": {"token": bearer}},
    }


def _schemas() -> dict[str, Any]:
    """Bodies as they are read, answers as they are written."""
    written = {model for e in ENDPOINTS for model in e.answers.values() if _is_model(model)}
    read = {endpoint.body for endpoint in ENDPOINTS if endpoint.body}
    both = [(model, "serialization") for model in sorted({*written, Problem, EventDocument}, key=_name)]
    both += [(model, "validation") for model in sorted(read, key=_name)]
    _, schemas = models_json_schema(both, ref_template=REFERENCE)  # type: ignore[arg-type]
    return dict(schemas["$defs"])


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__ if endpoint.handler else "hear_gitlab",
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
        "security": [{"token": []}, {}] if endpoint.role else [],
    }
    if endpoint.role:
        operation["description"] = f"Needs the role {endpoint.role}."
    if endpoint.body:
        required = any(field.is_required() for field in endpoint.body.model_fields.values())
        content = {"application/json": {"schema": _reference(endpoint.body)}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    named = IN_PATH.findall(endpoint.path)
    found = [{"name": name, "in": "path", "required": True, "schema": PATH_SCHEMAS[name]} for name in named]
    if endpoint.query:
        schema = endpoint.query.model_json_schema(by_alias=True)
        inner = schema.get("$defs", {})
        found += [
            {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": _plain(one, inner)}
            for name, one in schema["properties"].items()
        ]
    return found + [
        {"name": name, "in": "header", "description": words, "schema": _header(name)}
        for name, words in endpoint.headers.items()
    ]


def _header(name: str) -> dict[str, Any]:
    if name == "Last-Event-ID":
        return {"type": "string", "pattern": "^[0-9]{1,18}$"}
    return {"type": "string", "pattern": "^[!-~]{1,255}$"}


def _plain(schema: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's schema without null: a parameter that is not given is left out."""
    options = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    found = {**options[0]}
    if "$ref" in found:
        found = dict(inner[found["$ref"].rpartition("/")[2]])
    return {name: value for name, value in found.items() if name not in {"title", "default"}}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    answers = {str(status): _answer(endpoint, model) for status, model in endpoint.answers.items()}
    own = {*endpoint.refusals, *((401, 403, 429, 503) if endpoint.role else ()), *((413,) if endpoint.body else ())}
    refusal = {"application/problem+json": {"schema": _reference(Problem)}}
    refusals = {str(status): {"description": REFUSALS[status], "content": refusal} for status in sorted(own)}
    return {**refusals, **answers}


def _answer(endpoint: Endpoint, model: object) -> dict[str, Any]:
    if model is None:
        return {"description": "done"}
    content: dict[str, Any] = {}
    if model in {METRICS, TEXT}:
        content[TEXT] = {"schema": {"type": "string"}}
    elif model == LIST_OF_EVENTS:
        content["application/json"] = {"schema": {"type": "array", "items": _reference(EventDocument)}}
    elif _is_model(model):
        content["application/json"] = {"schema": _reference(model)}
    if endpoint.streams:
        content[STREAM] = {"schema": {"type": "string"}}
    return {"description": "as asked", "content": content}


def _is_model(model: object) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)


def _name(model: Any) -> str:
    return str(model.__name__)


def _reference(model: Any) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=_name(model))}
