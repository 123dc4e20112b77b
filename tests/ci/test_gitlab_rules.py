"""GitLab's own rules: valid pipelines of every sort give no error, each single mistake is found on its line."""

from __future__ import annotations

import pytest

from shared.ci.document import parse
from shared.ci.finding import Finding, with_quote
from shared.ci.lint import check_gitlab, errors
from tests.ci.pipelines import line_of
from tests.ci.valid import VALID

PIPELINE = """stages: [build, test, deploy]
variables:
  REGISTRY: registry.example.com
default:
  image: python:3.12
.base:
  cache: {paths: [.cache]}
build:
  stage: build
  extends: .base
  script:
    - make build
  artifacts:
    paths: [dist/, app.tar]
    expire_in: 1 day
test:
  stage: test
  needs: [build]
  script:
    - pytest
  retry: 2
  timeout: 10 minutes
deploy:
  stage: deploy
  when: manual
  rules:
    - if: $CI_COMMIT_BRANCH == "main"
  dependencies: [build]
  environment: {name: prod, on_stop: stop}
  script:
    - deploy "$REGISTRY"
stop:
  stage: deploy
  environment: {name: prod, action: stop}
  script: [undeploy]
"""
# What is replaced, by what, and the rule that says so; the finding stands on the line of the first change.
MISTAKES: tuple[tuple[str, str, str], ...] = (
    ("stages: [build, test, deploy]", "stages: build, test", "schema"),
    ("stages: [build, test, deploy]", "stages: [build, test, deploy", "yaml-syntax"),
    ("  stage: test\n", "  stage: tset\n", "undefined-stage"),
    ("  stage: test\n", "  stage test\n", "yaml-syntax"),
    ("  stage: test\n", "   stage: test\n", "yaml-syntax"),
    ("stage: test\n  needs", "stage: test\n\tneeds", "yaml-syntax"),
    ("needs: [build]", "needs: [biuld]", "unknown-need"),
    ("needs: [build]", "needs: [deploy]", "later-need"),
    ("needs: [build]", "needs: [test]", "need-cycle"),
    ("needs: [build]", "needs: build", "schema"),
    ("needs: [build]", "needs: [{job: build, artifact: true}]", "schema"),
    ("needs: [build]", "rules: [{when: on_success, needs: [biuld]}]", "unknown-need"),
    ("dependencies: [build]", "dependencies: [nothing]", "unknown-need"),
    ("on_stop: stop", "on_stop: stopp", "unknown-on-stop"),
    ("extends: .base", "extends: .bse", "unknown-extends"),
    ("extends: .base", "extends: build", "extends-cycle"),
    ("extends: .base", "<<: *base", "yaml-syntax"),
    ("    - make build", "    - !reference [.bas, script]", "unknown-reference"),
    ("cache: {paths: [.cache]}", "cache: {path: [.cache]}", "schema"),
    ("cache: {paths: [.cache]}", "cache: {paths: [.cache], policy: pul}", "schema"),
    ("cache: {paths: [.cache]}", "extends: .nothing", "unknown-extends"),
    ("- pytest", "- pytest: x", "schema"),
    ("- pytest", '- echo "x: $(y"', "schema"),
    ("- pytest", "- if true; then pytest", "shell-syntax"),
    ("- pytest", "- pytest &&", "shell-syntax"),
    ("- pytest", '- echo "unclosed', "shell-syntax"),
    ("- pytest", "- echo (x)", "shell-syntax"),
    ("    - make build", "    -make build", "shell-syntax"),
    ("    - make build", "    - make 'build", "shell-syntax"),
    ("  script:\n    - make build", "  script: make build: now", "yaml-syntax"),
    ("retry: 2", "retry: 5", "schema"),
    ("timeout: 10 minutes", "timeout: 10 minuts", "duration"),
    ("expire_in: 1 day", "expire_in: 1 dai", "duration"),
    ("when: manual", "when: manuel", "schema"),
    ("when: manual", "wen: manual", "schema"),
    ("when: manual", "when: manual\n  only: [main]", "rules-with-only"),
    ("needs: [build]", "start_in: 5 minutes", "start-without-delay"),
    ("needs: [build]", "rules: [{when: delayed}]", "delayed-without-start"),
    ("needs: [build]", "trigger: group/x", "script-and-trigger"),
    ('== "main"', '= "main"', "rules-if"),
    ('== "main"', '== "main" &&', "rules-if"),
    ('== "main"', "== main", "rules-if"),
    ("- if: $CI_COMMIT_BRANCH", "- if: $CI_COMIT_BRANCH", "misspelt-variable"),
    ('"$REGISTRY"', '"$REGISTY"', "misspelt-variable"),
    ("image: python:3.12", "image: Python:3.12", "image-name"),
    ("image: python:3.12", "image: python:3.12:slim", "image-name"),
    ("image: python:3.12", "imge: python:3.12", "schema"),
    ("paths: [dist/, app.tar]", "path: [dist/]", "schema"),
    ("REGISTRY: registry.example.com", "REGISTRY: 'a", "yaml-syntax"),
    ("stop:\n  stage", "test:\n  stage", "yaml-duplicate-key"),
    ("default:\n", "defaults:\n", "missing-script"),
)


def found(text: str) -> tuple[Finding, ...]:
    """The errors by GitLab's rules."""
    return errors(check_gitlab(parse(text)))


@pytest.mark.parametrize("name", VALID)
def test_a_valid_pipeline_gives_no_error(name: str) -> None:
    """What GitLab accepts is accepted, whatever keywords it uses."""
    assert found(VALID[name]) == ()


@pytest.mark.parametrize(("old", "new", "rule"), MISTAKES)
def test_a_single_mistake_is_found_on_its_line(old: str, new: str, rule: str) -> None:
    """One change to a valid pipeline that is not greenrun's gives an error of the rule where it was made."""
    assert found(PIPELINE) == ()
    broken = PIPELINE.replace(old, new, 1)
    first = PIPELINE[: PIPELINE.index(old)].count("\n") + 1
    lines = range(first, first + new.count("\n") + 1)
    said = found(broken)
    assert [f.rule for f in said if f.line in lines and f.rule == rule], [str(f) for f in said]


def test_no_stages_no_jobs_no_script() -> None:
    """A stage is one of GitLab's own where none are declared; a file of hidden jobs alone is no pipeline."""
    assert [f.rule for f in found("a: {stage: lint, script: x}")] == ["undefined-stage"]
    assert [f.rule for f in found(".a: {script: x}")] == ["no-jobs"]
    assert [f.rule for f in found("a: {script: }")] == ["missing-script"]


def test_a_need_of_a_later_stage_is_found_through_what_is_extended() -> None:
    """The stage that counts is the one a job has in the end."""
    text = ".t: {stage: deploy}\na: {extends: .t, script: x}\nb: {stage: build, needs: [a], script: x}\n"
    assert [(f.rule, f.line) for f in found(text)] == [("later-need", 3)]


def test_a_hidden_job_that_stands_twice_is_a_warning() -> None:
    """A template that stands twice can be meant: its first form may still be used through its anchor."""
    text = ".t: &one {script: a}\n.t: &two {script: b}\nx: {<<: *one}\ny: {<<: *two}\n"
    assert [(f.rule, f.severity) for f in check_gitlab(parse(text))] == [("yaml-duplicate-key", "warning")]


def test_two_documents_are_a_header_and_a_pipeline_or_wrong() -> None:
    """Only a header with `spec` stands before a pipeline."""
    assert found("spec: {inputs: {a: }}\n---\nx: {script: y}\n") == ()
    assert [(f.rule, f.line) for f in found("a: {script: y}\n---\nx: {script: y}\n")] == [("yaml-syntax", 3)]


def test_a_merge_key_hides_what_stands_above_it() -> None:
    """As in Ruby's reader, `<<` at the end wins over keys above it."""
    assert parse(".a: &a {x: 1}\nj: {x: 2, <<: *a}\nk: {<<: *a, x: 2}\n").root["j"] == {"x": 1}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a: {script: ['echo $NOWHERE_SEEN']}", ["NOWHERE_SEEN"]),
        ("a: {image: 'x:$TAG_OF_IT', script: ls}", ["TAG_OF_IT"]),
        ("a: {script: ['VERSION_A=1', 'echo $VERSION_A']}", []),
        ("a: {script: ['read -r LINE_OF_IT < f', 'echo $LINE_OF_IT']}", []),
        ("a: {script: ['for FILE_OF in *; do echo $FILE_OF; done']}", []),
        ("a: {script: ['. ./env.sh', 'echo $FROM_ENV']}", []),
        ("a: {script: ['echo ${WITH_DEFAULT:-x}']}", []),
        ("a: {script: ['[ -n \"$ASKED_FOR\" ] && echo $ASKED_FOR']}", []),
        ("a: {script: [\"awk '{print $NFIELDS}' f\"]}", []),
        ("a: {script: ['login $DEPLOY_TOKEN']}", []),
        ("a: {script: ['echo $CI_COMMIT_SHA $HOME $FF_X']}", []),
        ("include: x.yml\na: {script: ['echo $NOWHERE_SEEN']}", []),
    ],
)
def test_variables_that_nothing_defines_are_warnings(text: str, names: list[str]) -> None:
    """A name that only the project's settings can have is warned of; one that is set, asked for or secret is not."""
    said = [f for f in check_gitlab(parse(text)) if f.rule == "undefined-variable"]
    assert [f.message.split("$")[1].split(";")[0] for f in said] == names
    assert all(f.severity == "warning" for f in said)


@pytest.mark.parametrize(
    ("uses", "warned"),
    [
        ("needs: [lint]", True),
        ("needs: [build]", False),
        ("dependencies: []", True),
        ("tags: [x]", False),
        ("needs: [{job: build, artifacts: false}]", True),
    ],
)
def test_an_artifact_that_is_not_handed_over_is_a_warning(uses: str, warned: bool) -> None:
    """A script that uses another job's file is given it by stage order, needs or dependencies, or it is told."""
    text = (
        "build: {stage: build, script: make, artifacts: {paths: [app.tar]}}\nlint: {stage: build, script: lint}\n"
        f"scan: {{stage: test, script: ['scan --input app.tar'], {uses}}}\n"
    )
    assert ([f.rule for f in check_gitlab(parse(text))] == ["missing-artifact"]) is warned


def test_a_finding_is_quoted_with_its_line() -> None:
    """Who reads the finding sees the line that is wrong below it."""
    broken = PIPELINE.replace("  stage: test\n", "  stage: tset\n")
    finding = found(broken)[0]
    said = with_quote(finding, broken)
    assert said.splitlines()[1].strip() == "stage: tset"
    assert finding.line == line_of(broken, "tset")
    assert "fix" not in said
    assert finding.fix == "stage: test"


def test_one_mistake_gives_one_error() -> None:
    """What follows from a template that does not exist (no script, no stage) is not said as well."""
    broken = "stages: [lint]\n.a: {stage: lint, script: x}\nb: {extends: .c}\n"
    assert [(f.rule, f.line) for f in found(broken)] == [("unknown-extends", 3)]
