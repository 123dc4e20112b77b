"""Repairs of the Dockerfile alone: users, owners, modes, packages, what is copied."""

from __future__ import annotations

import pytest

from shared.events import Files
from tests.healer.failing import STACKS, changed_lines, failure_in, first_repair, rendered

DOCKERFILE = """ARG REGISTRY=registry.example:5000
FROM ${REGISTRY}/python:3.12-slim AS build
WORKDIR /app
USER 10001
# what it needs
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY entrypoint.sh tools/ ./
RUN ./prepare.sh
FROM ${REGISTRY}/python:3.12-slim
RUN apt-get update && apt-get install -y \\
    curl \\
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /app /app
USER 10001
ENTRYPOINT ["/app/entrypoint.sh"]
"""
PIP = "RUN pip install -r requirements.txt"
RUN_FAILED = 'Error: building at STEP "{}": while running runtime: exit status 1\nERROR: Job failed: exit code 1'


def lines(log: str, dockerfile: str = DOCKERFILE) -> list[str]:
    """The lines that the repair of a failed build of the image changes; empty where there is none."""
    files = Files(pipeline=rendered("python").pipeline, dockerfile=dockerfile)
    event, failure = failure_in("build", log, files, STACKS["python"])
    fix, refused = first_repair(event, failure)
    assert refused == []
    return changed_lines(files, fix.files) if fix else []


@pytest.mark.parametrize(
    "words",
    [
        "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/app/x.egg-info'",
        "mkdir: cannot create directory 'build': Permission denied",
        "npm ERR! Error: EACCES: permission denied, mkdir '/app/node_modules'",
    ],
)
def test_a_folder_is_given_to_its_user(words: str) -> None:
    """The folder of the work belongs to the user before the switch, and what is copied after it does too."""
    assert lines(f"STEP 5/9: {PIP}\n{words}\n{RUN_FAILED.format(PIP)}") == [
        "+ RUN mkdir -p /app && chown -R 10001 /app",
        "- COPY requirements.txt .",
        "+ COPY --chown=10001 requirements.txt .",
    ]


@pytest.mark.parametrize(
    "words",
    [
        "E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)",
        "ERROR: [Errno 13] Permission denied: '/usr/local/lib/python3.12/site-packages/six.py'",
    ],
)
def test_what_only_root_may_runs_as_root_and_the_user_comes_back(words: str) -> None:
    """One instruction has root around it, and no other."""
    assert lines(f"STEP 5/9: {PIP}\n{words}\n{RUN_FAILED.format(PIP)}") == ["+ USER root", "+ USER 10001"]


def test_a_script_of_the_image_is_made_executable() -> None:
    """By root, for the file may be root's; before the instruction that runs it."""
    run = "RUN ./prepare.sh"
    log = f"STEP 7/9: {run}\n/bin/sh: 1: ./prepare.sh: Permission denied\n{RUN_FAILED.format(run)}"
    assert lines(log) == ["+ USER root", "+ RUN chmod +x ./prepare.sh", "+ USER 10001"]


def test_an_entry_point_is_made_executable_before_the_user_takes_over() -> None:
    """Where everything is copied before that."""
    log = "exec /app/entrypoint.sh: permission denied\nERROR: Job failed: exit code 126"
    assert lines(log) == ["+ RUN chmod +x /app/entrypoint.sh"]


def test_packages_join_those_that_are_installed_already() -> None:
    """The stage that builds gets an installation while root rules, the last one the library beside curl."""
    log = f"STEP 5/9: {PIP}\nError: pg_config executable not found.\n{RUN_FAILED.format(PIP)}"
    install = "apt-get update && apt-get install --yes --no-install-recommends libpq-dev gcc libc6-dev"
    assert lines(log) == [
        f"+ RUN {install} && rm -rf /var/lib/apt/lists/*",
        "- RUN apt-get update && apt-get install -y \\",
        "+ RUN apt-get update && apt-get install -y libpq5 \\",
    ]


@pytest.mark.parametrize(
    "words",
    [
        "COPY failed: file not found in build context or excluded by .dockerignore: stat tools/: file does not exist",
        'ERROR: failed to compute cache key: failed to calculate checksum of ref x: "/tools": not found',
        "error building stage: failed to get fileinfo for /builds/a/b/tools: lstat /builds/a/b/tools: no such file",
        'Error: building at STEP "COPY tools/ ./": no items matching glob "/builds/a/b/tools" copied (1 filtered)',
    ],
)
def test_what_is_not_there_is_not_copied(words: str) -> None:
    """Of several sources the one that is not in the repository."""
    assert lines(f"{words}\nERROR: Job failed: exit code 1") == [
        "- COPY entrypoint.sh tools/ ./",
        "+ COPY entrypoint.sh ./",
    ]


def test_a_user_that_is_root_and_a_log_that_names_no_instruction_are_left_alone() -> None:
    """Nothing is guessed."""
    words = "mkdir: cannot create directory '/app': Permission denied"
    assert (
        lines(f"STEP 5/9: {PIP}\n{words}\n{RUN_FAILED.format(PIP)}", DOCKERFILE.replace("USER 10001", "USER root"))
        == []
    )
    assert lines(f"{words}\nERROR: Job failed: exit code 1") == []
