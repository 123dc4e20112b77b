"""The environment of a job: GitLab's variables, the project's, the file's and those that earlier jobs left; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gitlab.ci_variables import expand
from sandbox.gitlab.ci_yaml import CiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.gitlab.executor_records import Work


def variables(work: Work, dotenvs: Iterable[Mapping[str, str]], directory: str) -> dict[str, str]:
    """All variables of a job with the others filled in; `directory` is where its checkout lies.

    Weakest first: the document's and the project's, GitLab's own of this job, what dotenv reports left.
    """
    values = {**work.job.variables, **work.ticket.variables}
    for dotenv in dotenvs:
        values |= dotenv
    values |= {"CI_PROJECT_DIR": directory, "CI_BUILDS_DIR": directory.rpartition("/")[0]}
    values |= {"CI_JOB_IMAGE": work.job.image} if work.job.image else {}
    values |= {"CI_ENVIRONMENT_NAME": work.job.environment} if work.job.environment else {}
    return {name: _filled(name, value, values, work) for name, value in values.items()}


def _filled(name: str, value: str, values: Mapping[str, str], work: Work) -> str:
    if name in work.ticket.raw or "$" not in value or name.startswith("CI_COMMIT_"):
        return value
    try:
        return expand(value, values)
    except CiError:
        return value


def parse_dotenv(text: str) -> dict[str, str]:
    """The variables of a dotenv report; ValueError with GitLab's sentence where it is none.

    No multi-line values, comments or empty lines, as GitLab has it (docs: artifacts:reports:dotenv).
    """
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ValueError("Invalid Format")
        found[name.strip()] = value.strip().strip("'\"")
    return found
