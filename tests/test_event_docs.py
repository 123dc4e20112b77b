"""What docs/events says of the events is what the models say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from shared.asyncapi import document, files
from shared.events import EVENT_TYPES, Event
from shared.topology import TOPOLOGY
from tests.gateway.story import endings, healed

DOCS = Path(__file__).parents[1] / "docs" / "events"


def test_the_documents_are_those_of_the_models() -> None:
    """Whoever changes an event runs `make events`; a file of a type that is gone is removed."""
    assert {path.name: path.read_text() for path in DOCS.iterdir()} == files(), "run: make events"


@pytest.mark.parametrize("event", [*healed("R"), *endings("R")], ids=lambda event: event.type)
def test_an_event_keeps_its_schema(event: Event) -> None:
    """What is published validates, and what is not of its kind does not."""
    validator = Draft202012Validator(json.loads((DOCS / f"{event.type}.schema.json").read_text()))
    assert list(validator.iter_errors(event.model_dump(mode="json"))) == []
    assert list(validator.iter_errors({"attempt": "first"}))


def test_every_type_has_its_channel_and_everybody_who_speaks_on_it() -> None:
    """References lead somewhere, and operations are those of the topology."""
    described = document()
    assert set(described["channels"]) == set(described["components"]["messages"]) == set(EVENT_TYPES)
    sent = {name for name, one in described["operations"].items() if one["action"] == "send"}
    assert sent == {f"{row.service}.send.{event.type}" for row in TOPOLOGY for event in row.publishes}
