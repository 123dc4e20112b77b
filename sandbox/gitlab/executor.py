"""Runs the jobs of one pipeline in GitLab's order. Without a container engine each job is checked, not run.

A check asks what would stop the job before its first line: are its images in the private registry, does the script
parse, can its Dockerfile's parents be had. The first line of every trace says that this is what happened.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.gitlab.checks import Check, Outcome
from sandbox.gitlab.executor_order import COMPLETED, STOPPED, Order
from sandbox.gitlab.executor_trace import FIRST_LINE, timed_out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sandbox.gitlab.ci_records import CompiledJob, Context

    Report = Callable[["JobUpdate"], Awaitable[None]]

__all__ = ["COMPLETED", "STOPPED", "Executor", "JobUpdate"]

JOBS_AT_ONCE = 8


@dataclass(frozen=True)
class JobUpdate:
    """A change of one job: of its status, or an addition to its trace (then `status` is what it was).

    `at` in seconds since the epoch. `allow_failure` is set where the exit code of a failed job is one that
    `allow_failure:exit_codes` allows. After `failed`, a job that its `retry` runs again goes to `pending`.
    """

    name: str
    status: str
    failure_reason: str | None = None
    trace_append: str = ""
    at: float = 0.0
    allow_failure: bool | None = None


class Executor:
    """Runs pipelines against one private registry (host:port; None where there is none to ask)."""

    def __init__(self, registry: str | None) -> None:
        """Nothing is opened until a pipeline runs."""
        self._registry = registry

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
        async with Check.open(self._registry, context) as check:
            await _Pipeline(jobs, check, report, cancel, dict(done or {})).run()


class _Pipeline:
    """The state of one run: the status of each job."""

    def __init__(
        self,
        jobs: Sequence[CompiledJob],
        check: Check,
        report: Report,
        cancel: asyncio.Event,
        statuses: dict[str, str],
    ) -> None:
        self._order = Order(jobs)
        self._check = check
        self._report = report
        self._cancel = cancel
        self._statuses = {job.name: statuses.get(job.name, "created") for job in jobs}
        self._allowed = {job.name: job.allow_failure for job in jobs}
        self._slots = asyncio.Semaphore(JOBS_AT_ONCE)

    async def run(self) -> None:
        """Start whatever may start, until nothing is left that may."""
        running: set[asyncio.Task[None]] = set()
        cancelled = asyncio.create_task(self._cancel.wait())
        try:
            while not self._cancel.is_set():
                running |= await self._start()
                if not running:
                    return
                await asyncio.wait({*running, cancelled}, return_when=asyncio.FIRST_COMPLETED)
                for task in [one for one in running if one.done()]:
                    running.discard(task)
                    task.result()
        finally:
            await _end({*running, cancelled})
        await self._cancel_rest()

    async def _start(self) -> set[asyncio.Task[None]]:
        """A task for each job that may start now; jobs that will not start get their status."""
        started: set[asyncio.Task[None]] = set()
        changed = True
        while changed:
            changed = False
            for job in self._order.jobs.values():
                if self._statuses[job.name] != "created":
                    continue
                status = self._order.verdict(job, self._statuses, self._allowed)
                if status is None:
                    continue
                await self._set(job, status)
                changed = True
                if status in {"pending", "scheduled"}:
                    started.add(asyncio.create_task(self._run_job(job)))
        return started

    async def _run_job(self, job: CompiledJob) -> None:
        """Run, and run again where the job's own `retry` says so."""
        if job.when == "delayed":
            await asyncio.sleep(job.start_in_seconds)
            await self._set(job, "pending")
        attempts = 0
        while True:
            async with self._slots:
                outcome = await self._attempt(job)
            if not _again(job, outcome, attempts):
                return
            attempts += 1
            await self._set(job, "pending")

    async def _attempt(self, job: CompiledJob) -> Outcome:
        await self._set(job, "running")
        await self._trace(job, FIRST_LINE)
        try:
            async with asyncio.timeout(job.timeout_seconds):
                sources = [one for one in self._order.artifacts_from(job) if self._statuses[one.name] == "success"]
                outcome = await self._check.job(job, sources, lambda text: self._trace(job, text))
        except TimeoutError:
            outcome = Outcome("failed", "job_execution_timeout")
            await self._trace(job, timed_out(job.timeout_seconds))
        if outcome.exit_code in job.allow_failure_codes:
            self._allowed[job.name] = True
        await self._set(job, outcome.status, outcome.failure_reason)
        return outcome

    async def _cancel_rest(self) -> None:
        for job in self._order.jobs.values():
            status = self._statuses[job.name]
            if status not in STOPPED:
                if status == "running":
                    await self._trace(job, "\x1b[31;1mERROR: Job failed: canceled\n\x1b[0;m")
                await self._set(job, "canceled")

    async def _set(self, job: CompiledJob, status: str, failure_reason: str | None = None) -> None:
        self._statuses[job.name] = status
        allowed = True if self._allowed[job.name] and not job.allow_failure else None
        await self._report(JobUpdate(job.name, status, failure_reason, at=time.time(), allow_failure=allowed))

    async def _trace(self, job: CompiledJob, text: str) -> None:
        await self._report(JobUpdate(job.name, self._statuses[job.name], None, text, time.time()))


def _again(job: CompiledJob, outcome: Outcome, attempts: int) -> bool:
    """Whether a job runs once more after this outcome."""
    if outcome.status != "failed" or attempts >= job.retry.most:
        return False
    if job.retry.exit_codes and outcome.exit_code is not None:
        return outcome.exit_code in job.retry.exit_codes
    return "always" in job.retry.when or outcome.failure_reason in job.retry.when


async def _end(tasks: set[asyncio.Task[None] | asyncio.Task[bool]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
