"""Runs the jobs of one pipeline in GitLab's order. Without a container engine each job is checked, not run.

A check asks what would stop the job before its first line: is the image in the private registry, does the script
parse, are the artifacts there that it was promised. The first line of every trace says that this is what happened.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandbox.gitlab.checks import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sandbox.gitlab.ci import CompiledJob, Context

    Report = Callable[["JobUpdate"], Awaitable[None]]

COMPLETED = frozenset({"success", "failed", "canceled", "skipped"})
STOPPED = COMPLETED | {"manual", "scheduled"}


@dataclass(frozen=True)
class JobUpdate:
    """A change of one job; `at` in seconds since the epoch."""

    name: str
    status: str
    failure_reason: str | None = None
    trace_append: str = ""
    at: float = 0.0


class Executor:
    """Runs pipelines against one private registry (host:port; None where there is none to ask)."""

    def __init__(self, registry: str | None) -> None:
        """Nothing is opened until a job runs."""
        self._check = Check(registry)

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
        pipeline = _Pipeline(jobs, self._check, report, context, cancel, dict(done or {}))
        await pipeline.run()


class _Pipeline:
    """The state of one run: the status of each job."""

    def __init__(
        self,
        jobs: Sequence[CompiledJob],
        check: Check,
        report: Report,
        context: Context,
        cancel: asyncio.Event,
        statuses: dict[str, str],
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._check = check
        self._report = report
        self._context = context
        self._cancel = cancel
        self._statuses = {name: statuses.get(name, "created") for name in self._jobs}

    async def run(self) -> None:
        """Start whatever may start, until nothing is left that may."""
        running: dict[asyncio.Task[None], str] = {}
        while True:
            if self._cancel.is_set():
                await self._end_all(running)
                return
            await self._settle()
            for job in self._startable(set(running.values())):
                running[asyncio.create_task(self._run_job(job))] = job.name
            if not running:
                return
            cancelled = asyncio.create_task(self._cancel.wait())
            ended, _ = await asyncio.wait([*running, cancelled], return_when=asyncio.FIRST_COMPLETED)
            cancelled.cancel()
            for task in ended - {cancelled}:
                running.pop(task)
                task.result()

    async def _settle(self) -> None:
        """Give a status to every job that will not start: skipped, or waiting for a person."""
        changed = True
        while changed:
            changed = False
            for job in self._jobs.values():
                if self._statuses[job.name] == "created" and self._reached(job):
                    status = self._verdict(job)
                    if status != "run":
                        await self._set(job.name, status)
                        changed = True

    def _startable(self, running: set[str]) -> list[CompiledJob]:
        return [
            job
            for job in self._jobs.values()
            if self._statuses[job.name] == "created" and job.name not in running and self._reached(job)
        ]

    def _before(self, job: CompiledJob) -> list[CompiledJob]:
        """The jobs that this one waits for: its needs, or all of the earlier stages."""
        if job.needs is not None:
            return [self._jobs[name] for name in job.needs]
        return [other for other in self._jobs.values() if other.stage_index < job.stage_index]

    def _reached(self, job: CompiledJob) -> bool:
        """Whether all that comes before is over; a manual job that may not fail holds up what is behind it."""
        return all(
            self._statuses[other.name] in COMPLETED or (self._statuses[other.name] == "manual" and other.allow_failure)
            for other in self._before(job)
        )

    def _verdict(self, job: CompiledJob) -> str:
        """`run`, or the status of a job that does not start (on_success, on_failure, always: GitLab's rules)."""
        before = self._before(job)
        failed = any(self._statuses[other.name] == "failed" and not other.allow_failure for other in before)
        if job.needs is not None:
            failed = failed or any(self._statuses[other.name] == "skipped" for other in before)
        starts = {"on_success": not failed, "on_failure": failed, "always": True, "manual": not failed}
        if job.when == "delayed":
            return "scheduled"
        if not starts.get(job.when, False):
            return "skipped"
        return "manual" if job.when == "manual" else "run"

    async def _run_job(self, job: CompiledJob) -> None:
        """Run, and run again where the job's own `retry` says so."""
        for attempt in range(job.retry + 1):
            outcome = await self._attempt(job)
            if outcome.status != "failed" or attempt == job.retry:
                await self._set(job.name, outcome.status, outcome.failure_reason)
                return
            await self._trace(job.name, f"\nRetrying ({attempt + 1} of {job.retry})\n")

    async def _attempt(self, job: CompiledJob) -> Outcome:
        await self._set(job.name, "running")
        try:
            async with asyncio.timeout(job.timeout_seconds):
                outcome = await self._check.job(job, self._context, self._missing_artifacts(job))
        except TimeoutError:
            words = f"ERROR: Job failed: execution took longer than {job.timeout_seconds}s seconds\n"
            outcome = Outcome("failed", words, "job_execution_timeout")
        await self._trace(job.name, outcome.trace)
        return outcome

    def _missing_artifacts(self, job: CompiledJob) -> list[str]:
        """Jobs whose artifacts this one depends on and which left none, because they did not succeed."""
        wanted = job.dependencies or ()
        return [name for name in wanted if self._jobs[name].artifacts and self._statuses[name] != "success"]

    async def _end_all(self, running: dict[asyncio.Task[None], str]) -> None:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for name, status in self._statuses.items():
            if status not in STOPPED:
                await self._set(name, "canceled")

    async def _set(self, name: str, status: str, failure_reason: str | None = None) -> None:
        self._statuses[name] = status
        await self._report(JobUpdate(name, status, failure_reason, at=time.time()))

    async def _trace(self, name: str, text: str) -> None:
        await self._report(replace(JobUpdate(name, self._statuses[name], at=time.time()), trace_append=text))
