"""The events as JSON Schemas and as one AsyncAPI 3 document, made from the models and the topology.

`python -m shared.asyncapi FOLDER` writes both; docs/events has them, and a test holds them to what this makes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from shared.events import EVENT_TYPES, Event
from shared.topology import EVENTS_STREAM, TOPOLOGY

DRAFT = "https://json-schema.org/draft/2020-12/schema"
DOCUMENT = "asyncapi.json"
# CloudEvents 1.0 in binary mode: the context is in the headers.
HEADERS = {
    "type": "object",
    "required": ["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time"],
    "properties": {
        "ce-specversion": {"const": "1.0"},
        "ce-id": {"type": "string", "description": "the subject, which holds this one event for ever"},
        "ce-type": {"type": "string"},
        "ce-source": {"type": "string", "description": "greenrun/ and the program that said it"},
        "ce-time": {"type": "string", "format": "date-time"},
        "ce-dataschema": {"type": "string", "description": "urn:greenrun:<type>:<version>"},
        "ce-cause": {"type": "string", "description": "the subject of the event because of which it was said"},
        "ce-by": {"type": "string", "description": "the person on whose word it was said"},
        "traceparent": {"type": "string", "description": "W3C trace context"},
    },
}


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of one event's body, as it is written."""
    schema = event.model_json_schema(mode="serialization")
    return {"$schema": DRAFT, "$id": f"urn:greenrun:{event.type}:{event.schema_version}", **schema}


def document() -> dict[str, Any]:
    """The AsyncAPI document: a channel for each type, and who sends and receives it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "greenrun",
            "version": "1",
            "description": f"Every fact is an event in the JetStream stream {EVENTS_STREAM}, one on each subject.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(event) for name, event in EVENT_TYPES.items()},
        "operations": {
            f"{row.service}.{verb}.{event.type}": {"action": verb, "channel": _reference("channels", event.type)}
            for row in TOPOLOGY
            for verb, events in (("receive", [row.reads] if row.reads else []), ("send", row.publishes))
            for event in events
        },
        "components": {"messages": {name: _message(event) for name, event in EVENT_TYPES.items()}},
    }


def files() -> dict[str, str]:
    """File name → content, of everything that docs/events holds."""
    made = {f"{name}.schema.json": schema_of(event) for name, event in EVENT_TYPES.items()}
    return {name: json.dumps(content, indent=2) + "\n" for name, content in {**made, DOCUMENT: document()}.items()}


def _channel(event: type[Event]) -> dict[str, Any]:
    return {
        "address": f"{event.type}.{{run_id}}.{{attempt}}",
        "messages": {event.type: _reference("components/messages", event.type)},
        "parameters": {
            "run_id": {"description": "a ULID, which begins with the time of the submission"},
            "attempt": {"description": "the pass through the pipeline, from 1"},
        },
    }


def _message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": event.type,
        "summary": " ".join((event.__doc__ or "").split("\n\n")[0].split()),
        "headers": HEADERS,
        "payload": {"$ref": f"./{event.type}.schema.json"},
    }


def _reference(place: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/{place}/{name}"}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_text(content)
