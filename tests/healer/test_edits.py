"""Edits in place: what YAML reads afterwards is what was meant, and every other line stays as it was."""

from __future__ import annotations

import copy
import difflib

import pytest

from services.healer.edit.images import with_tag
from services.healer.edit.pipeline import steps_of, with_commands, with_item, with_key, with_scalar, with_variable
from shared.ci.document import Document, parse
from shared.events import Files
from tests.healer.failing import REGISTRY, STACKS, rendered

COMMANDS = ['echo "a: b" # not a comment', "apt-get update && apt-get install x"]
SHAPES = """
default:
  before_script: &before
    # first
    - "pip install -r requirements.txt"
flow:
  script: [make all, 'make "it"']
one:
  script: make  # all of it
block:
  script: |
    make
    make test
shared:
  before_script: *before
  script:
  - make
"""


def added(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that only one of two texts has: those that went, those that came."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return [line[2:] for line in lines if line[:2] == "- "], [line[2:] for line in lines if line[:2] == "+ "]


def at(document: Document, path: tuple[str | int, ...]) -> list[str]:
    """The list that holds the item at this path."""
    value: object = document.root
    for part in path[:-1]:
        value = value[part]  # type: ignore[index]
    assert isinstance(value, list)
    return value


@pytest.mark.parametrize("stack", STACKS)
def test_commands_before_any_step_of_any_recipe_are_the_only_change(stack: str) -> None:
    """Two lines come, none goes, and YAML reads the commands before the step and everything else as it was."""
    document = parse(rendered(stack).pipeline)
    paths = {step.path for job in document.jobs for step in steps_of(document, job)}
    assert len(paths) > 8
    for path in paths:
        text = with_commands(document, path, COMMANDS)
        assert text is not None
        gone, came = added(document.text, text)
        assert (gone, len(came)) == ([], 2)
        expected = copy.deepcopy(dict(document.root))
        place = at(Document("", expected), path)
        number = path[-1]
        assert isinstance(number, int)
        place[number:number] = COMMANDS
        assert parse(text).root == expected


@pytest.mark.parametrize("job", ["flow", "one", "block", "shared"])
def test_commands_stand_first_in_any_shape_of_a_script(job: str) -> None:
    """A list within a line, one command, a block of lines, a list behind an anchor."""
    document = parse(SHAPES)
    step = (
        steps_of(document, job)[0] if job == "shared" else next(s for s in steps_of(document, job) if s.path[0] == job)
    )
    text = with_commands(document, step.path, ["first: now"])
    assert text is not None
    steps = [s.text for s in steps_of(parse(text), job) if s.path[:1] == step.path[:1]]
    assert steps[0].startswith("first: now")
    assert (
        len("\n".join(steps).splitlines())
        == len("\n".join(s.text for s in steps_of(document, job) if s.path[:1] == step.path[:1]).splitlines()) + 1
    )


@pytest.mark.parametrize("stack", STACKS)
def test_keys_variables_and_items_are_the_only_change(stack: str) -> None:
    """Where an edit is made at all, no line goes but the one that it changes."""
    document = parse(rendered(stack).pipeline)
    for job in document.jobs:
        for text, most in (
            (with_key(document, job, ["tags: [docker]"]), 0),
            (with_variable(document, job, "HOME", "/tmp"), 0),
            (with_variable(document, job, "NEW", "a: b", everywhere=True), 0),
            (with_scalar(document, (job, "stage"), "test"), 1),
            (with_item(document, (job, "needs"), "compile"), 1),
        ):
            if text is not None:
                gone, came = added(document.text, text)
                assert len(gone) <= most
                assert len(came) <= most + 2
                assert parse(text).readable


def test_a_tag_in_a_variable_is_changed_there_alone() -> None:
    """Whole or in part, in the pipeline and in an ARG; a number elsewhere that looks alike stays."""
    pipeline = 'variables:\n  PORT: "20"\n  NODE: "20"\ntest:\n  image: registry.example:5000/node:${NODE}-slim\n'
    pipeline += "  script: [x]\n"
    dockerfile = "ARG NODE=20\nFROM registry.example:5000/node:${NODE}-slim\nEXPOSE 20\n"
    files = Files(pipeline=pipeline, dockerfile=dockerfile)
    changed = with_tag(files, f"{REGISTRY}/node:20-slim", "22-slim", REGISTRY)
    assert changed is not None
    assert changed.pipeline == pipeline.replace('NODE: "20"', 'NODE: "22"')
    assert changed.dockerfile == dockerfile.replace("NODE=20", "NODE=22")
