"""No repair weakens a job, whoever proposes it."""

from __future__ import annotations

import pytest

from services.healer.guard import loosens
from tests.ci.pipelines import DOCKERFILE, PIPELINE, files

WEAKER = {
    "deletes a job": ("quality:\n  stage: quality\n  script:\n    - pip install ruff\n    - ruff check .\n", ""),
    "allows a job to fail": ("  stage: sast\n", "  stage: sast\n  allow_failure: true\n"),
    "allows some exit codes": ("  stage: sast\n", "  stage: sast\n  allow_failure: {exit_codes: 1}\n"),
    "waits for a person": ("  stage: push\n", "  stage: push\n  when: manual\n"),
    "never runs a job": ("  stage: sast\n", "  stage: sast\n  rules: [{when: never}]\n"),
    "runs a job elsewhere only": ("  stage: sast\n", "  stage: sast\n  only: [tags]\n"),
    "hides a failure": ("    - pytest -q", "    - pytest -q || true #"),
    "goes on after errors": ("    - pip install pytest\n", "    - pip install pytest\n    - set +e\n"),
    "ends well": ("    - bandit -r . -ll", "    - bandit -r . -ll --exit-zero"),
    "finds and passes": ("--exit-code 1", "--exit-code 0"),
    "takes the tests out": ("    - pytest -q --junitxml=report.xml\n", ""),
    "prints instead of testing": ("pytest -q --junitxml=report.xml", "echo tested"),
    "leaves a test out": ("pytest -q", "pytest --deselect tests/test_a.py -q"),
    "skips the pipeline": ("default:\n", "workflow: {rules: [{when: never}]}\ndefault:\n"),
    "is no YAML": ("stages: [", "stages: [["),
}


@pytest.mark.parametrize("name", WEAKER)
def test_a_repair_that_weakens_is_refused(name: str) -> None:
    """Each way of making a pipeline green without mending it is refused with a sentence."""
    old, new = WEAKER[name]
    assert old in PIPELINE
    assert loosens(files(), files(PIPELINE.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("python:3.12-slim", "python:3.12-alpine"),
        ("    - pip install ruff\n", "    - apk add git\n    - pip install ruff\n"),
        ("  stage: sast\n", "  stage: sast\n  retry: 1\n  timeout: 2h\n"),
        ("    - pip install bandit\n", "    - uv pip install bandit\n"),
        ("      alias: db", "      alias: database"),
    ],
)
def test_an_honest_repair_is_allowed(old: str, new: str) -> None:
    """Images, tools, time limits and services may change."""
    assert loosens(files(), files(PIPELINE.replace(old, new, 1))) is None


def test_a_broken_file_may_be_mended_but_not_emptied() -> None:
    """Where the old file could not be read, its jobs must still be there."""
    broken = PIPELINE.replace("stages: [", "stages: [[")
    assert loosens(files(broken), files()) is None
    assert loosens(files(broken), files("compile: {script: [make]}\n"))


def test_the_dockerfile_is_guarded_too() -> None:
    """A build step that may fail is a hidden failure."""
    hidden = DOCKERFILE.replace("requirements.txt\nFROM", "requirements.txt || true\nFROM")
    assert hidden != DOCKERFILE
    assert loosens(files(), files(dockerfile=hidden))
