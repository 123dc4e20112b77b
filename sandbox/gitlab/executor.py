"""Runs the jobs of pipelines in GitLab's order. How a job runs is a mode of its own.

`check` asks what would stop the job before its first line: are its images in the private registry, does the script
parse, can its Dockerfile's parents be had. The first line of every trace says that this is what happened.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.gitlab.artifacts import Artifacts
from sandbox.gitlab.checks import Checks
from sandbox.gitlab.executor_order import COMPLETED, STOPPED
from sandbox.gitlab.executor_records import JobUpdate, Ticket
from sandbox.gitlab.executor_run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.gitlab.ci_records import CompiledJob, Context
    from sandbox.gitlab.executor_records import Report

__all__ = ["COMPLETED", "STOPPED", "Executor", "JobUpdate", "Ticket"]


class Executor:
    """Runs pipelines against one private registry (host:port; None where there is none to ask)."""

    def __init__(self, registry: str | None, artifacts: Artifacts | None = None) -> None:
        """Nothing is opened until a pipeline runs; `artifacts` is where jobs leave theirs."""
        self.registry = registry
        self.artifacts = artifacts or Artifacts(Path("artifacts"))

    def start(
        self,
        jobs: Sequence[CompiledJob],
        *,
        report: Report,
        context: Context,
        statuses: Mapping[str, str],
        ticket: Callable[[str], Ticket],
    ) -> Run:
        """The run of a pipeline from these statuses on; it begins with its `run`."""
        return Run(jobs, Checks(self.registry, context), report, statuses, ticket)

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
        statuses = {job.name: "created" for job in jobs} | dict(done or {})
        run = self.start(jobs, report=report, context=context, statuses=statuses, ticket=ids.__getitem__)
        watching = asyncio.create_task(_cancel_on(cancel, run))
        try:
            await run.run()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _cancel_on(event: asyncio.Event, run: Run) -> None:
    await event.wait()
    run.cancel()
