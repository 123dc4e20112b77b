"""Runs the jobs of pipelines in GitLab's order. How a job runs is a mode of its own.

`check` asks what would stop the job before its first line: are its images in the private registry, does the script
parse, can its Dockerfile's parents be had. `shell` runs it with bash on this machine, `container` in a container from
its image. The first line of a trace says where a job did not run in its image.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.gitlab.artifacts import Artifacts
from sandbox.gitlab.checks import Checks
from sandbox.gitlab.executor_container import NO_RIGHTS, Containers, Rights
from sandbox.gitlab.executor_files import Caches
from sandbox.gitlab.executor_local import Folders, Local
from sandbox.gitlab.executor_order import COMPLETED, STOPPED
from sandbox.gitlab.executor_records import JobUpdate, Start, Ticket
from sandbox.gitlab.executor_run import Run
from sandbox.gitlab.executor_shell import Shell
from sandbox.gitlab.executor_trace import SHELL_LINE
from sandbox.gitlab.faults import Faulty

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.gitlab.ci_records import CompiledJob, Context
    from sandbox.gitlab.executor_records import Report, Runner

__all__ = ["COMPLETED", "STOPPED", "Executor", "JobUpdate", "Mode", "Settings", "Start", "Ticket"]


JOBS_AT_ONCE = 8


class Mode(StrEnum):
    """How a job runs."""

    CHECK = "check"
    SHELL = "shell"
    CONTAINER = "container"


@dataclass(frozen=True)
class Settings:
    """Where and how jobs run.

    `registry` is host:port, None where there is none to ask; `data` is where builds, caches and artifacts lie;
    `passed` are variables of this machine's environment that jobs of the mode `shell` may see. Of all pipelines
    together `jobs_at_once` jobs run; the others are pending. `rights` are those of job containers.
    """

    registry: str | None = None
    mode: Mode = Mode.CHECK
    data: Path = Path("executor")
    passed: tuple[str, ...] = ()
    jobs_at_once: int = JOBS_AT_ONCE
    rights: Rights = NO_RIGHTS


class Executor:
    """Runs pipelines in one mode."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened until a pipeline runs."""
        self._settings = settings
        self.registry = settings.registry
        self.mode = settings.mode
        self.artifacts = Artifacts(settings.data / "artifacts")
        self._slots = asyncio.Semaphore(settings.jobs_at_once)

    def start(
        self,
        jobs: Sequence[CompiledJob],
        *,
        report: Report,
        context: Context,
        start: Start,
        ticket: Callable[[str], Ticket],
    ) -> Run:
        """The run of a pipeline; it begins with its `run`."""
        return Run(jobs, Faulty(self._runner(context)), report, start, ticket, self._slots)

    def _runner(self, context: Context) -> Runner:
        given = self._settings
        folders = Folders(given.data / "builds", self.artifacts, Caches(given.data / "cache"))
        match given.mode:
            case Mode.CHECK:
                return Checks(given.registry, context)
            case Mode.SHELL:
                return Local(folders, Shell(given.registry, given.passed).place, SHELL_LINE)
            case Mode.CONTAINER:
                return Local(folders, Containers(given.registry, given.rights).place, "")

    async def run(
        self,
        jobs: Sequence[CompiledJob],
        *,
        report: Report,
        context: Context,
        cancel: asyncio.Event,
        done: Mapping[str, str] | None = None,
    ) -> None:
        """Every job to its end, or to `manual`; `done` are jobs of an earlier attempt that do not run again."""
        ids = {job.name: Ticket(number) for number, job in enumerate(jobs, 1)}
        run = self.start(jobs, report=report, context=context, start=Start(done or {}), ticket=ids.__getitem__)
        watching = asyncio.create_task(_cancel_on(cancel, run))
        try:
            await run.run()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _cancel_on(event: asyncio.Event, run: Run) -> None:
    await event.wait()
    run.cancel()
