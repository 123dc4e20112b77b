"""What goes between the server, the run of a pipeline, and what runs a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from sandbox.gitlab.ci_records import CompiledJob

    Say = Callable[[str], Awaitable[None]]
    Report = Callable[["JobUpdate"], Awaitable[None]]


@dataclass(frozen=True)
class JobUpdate:
    """A change of one job: of its status, or an addition to its trace (then `status` is what it was).

    `at` in seconds since the epoch. `allow_failure` is set where the exit code of a failed job is one that
    `allow_failure:exit_codes` allows. After `failed`, a job that its `retry` runs again goes to `pending`.
    `details` are further fields of the job: coverage, artifacts.
    """

    name: str
    status: str
    failure_reason: str | None = None
    trace_append: str = ""
    at: float = 0.0
    allow_failure: bool | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a job ended, GitLab's failure reason, the exit code where its script failed, and what it left."""

    status: str
    failure_reason: str | None = None
    exit_code: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


# What the cancellation of a job's task says, as opposed to a timeout or the end of the server: its after_script runs.
CANCELED = "canceled"
PASSED = Outcome("success")
NOT_PREPARED = Outcome("failed", "runner_system_failure")


@dataclass(frozen=True)
class Ticket:
    """What only the server knows of a job that begins.

    `variables` are its ids and its token, `masked` values that no trace shows, `files` the names of variables whose
    values are files, `raw` those in whose values nothing is filled in. `repository` is the bare repository that it is
    checked out from, `fault` the name of a fault that befalls this attempt.
    """

    id: int
    project: int = 0
    repository: Path | None = None
    fault: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    masked: Sequence[str] = ()
    files: Sequence[str] = ()
    raw: Sequence[str] = ()


@dataclass(frozen=True)
class Start:
    """What a run begins from: the status of each job, and which of those that failed were allowed to."""

    statuses: Mapping[str, str] = field(default_factory=dict)
    allowed: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A job whose artifacts another one fetches."""

    job: CompiledJob
    id: int


@dataclass(frozen=True)
class Work:
    """One job, ready to begin: its ticket, whose artifacts it fetches, and where its trace goes."""

    job: CompiledJob
    ticket: Ticket
    sources: Sequence[Source]
    say: Say


class Runner(Protocol):
    """Runs, or checks, the jobs of one pipeline."""

    def opening(self) -> str:
        """The first line of each trace, which says what is done with the job here; empty where nothing is special."""

    async def job(self, work: Work) -> Outcome:
        """The job to its end; when it is cancelled, nothing of it goes on."""
