"""The run of one pipeline: starts whatever may start, until nothing is left that may."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox.gitlab.executor_order import STOPPED, Order
from sandbox.gitlab.executor_records import CANCELED, JobUpdate, Outcome, Source, Ticket, Work
from sandbox.gitlab.executor_trace import canceled, timed_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandbox.gitlab.ci_records import CompiledJob
    from sandbox.gitlab.executor_records import Report, Runner, Start

WAITS = frozenset({"pending", "scheduled"})


class Run:
    """The state of one run: the status of each job, and the tasks of those that are under way."""

    def __init__(
        self,
        jobs: Sequence[CompiledJob],
        runner: Runner,
        report: Report,
        start: Start,
        ticket: Callable[[str], Ticket],
        slots: asyncio.Semaphore,
    ) -> None:
        """From this state on; `ticket` is asked each time a job begins, which waits for a free slot."""
        self._order = Order(jobs)
        self._runner = runner
        self._report = report
        self._ticket = ticket
        self._statuses = {job.name: start.statuses.get(job.name, "created") for job in jobs}
        self._allowed = {job.name: start.allowed.get(job.name, job.allow_failure) for job in jobs}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = slots
        self._changed = asyncio.Event()
        self._canceled = False

    def take(self, statuses: Mapping[str, str]) -> None:
        """Go on from these statuses: a job was played or retried, and what was skipped behind it may start again."""
        for name, status in statuses.items():
            if name in self._statuses and (name not in self._tasks or self._tasks[name].done()):
                self._statuses[name] = status
        self._changed.set()

    def cancel(self) -> None:
        """End what runs and what waits; the jobs that are over keep their status."""
        self._canceled = True
        self._changed.set()

    async def cancel_job(self, name: str, seconds: float) -> None:
        """End one job; after at most that many seconds it may still be `canceling`, while its after_script runs."""
        task = self._tasks.get(name)
        if task is None:
            await self._set(self._order.jobs[name], "canceled")
        else:
            await self._end_job(name, task)
            await asyncio.wait([task], timeout=seconds)
            await self._collect()
        self._changed.set()

    async def _end_job(self, name: str, task: asyncio.Task[None]) -> None:
        if self._statuses[name] == "running":
            await self._set(self._order.jobs[name], "canceling")
        task.cancel(CANCELED)

    async def run(self) -> None:
        """To the end: every job is over, or waits for a person."""
        try:
            while not self._canceled:
                self._changed.clear()
                await self._start()
                if not self._tasks:
                    return
                await self._next_change()
                await self._collect()
            await self._cancel_rest()
        finally:
            await _end(self._tasks.values())

    async def _next_change(self) -> None:
        """Wait until a job is over, or somebody wants something."""
        waiting = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({*self._tasks.values(), waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end([waiting])

    async def _collect(self) -> None:
        """Forget the tasks that are over; an error of the server is raised, a cancelled job gets its status."""
        for name, task in [(name, task) for name, task in self._tasks.items() if task.done()]:
            if self._tasks.pop(name, None) is None:
                continue
            if task.cancelled():
                await self._cancel_one(self._order.jobs[name])
            else:
                task.result()

    async def _start(self) -> None:
        """A task for each job that may start now; jobs that will not start get their status."""
        changed = True
        while changed:
            changed = False
            for job in self._order.jobs.values():
                if self._statuses[job.name] == "created":
                    status = self._order.verdict(job, self._statuses, self._allowed)
                    if status is not None:
                        await self._set(job, status)
                        changed = True
                if self._statuses[job.name] in WAITS and job.name not in self._tasks:
                    self._tasks[job.name] = asyncio.create_task(self._run_job(job))

    async def _run_job(self, job: CompiledJob) -> None:
        """Run, and run again where the job's own `retry` says so."""
        if self._statuses[job.name] == "scheduled":
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
        self._allowed[job.name] = job.allow_failure
        await self._set(job, "running")
        ticket = self._ticket(job.name)
        await self._trace(job, self._runner.opening())
        try:
            async with asyncio.timeout(job.timeout_seconds):
                outcome = await self._runner.job(
                    Work(job, ticket, self._sources(job), lambda text: self._trace(job, text))
                )
        except TimeoutError:
            outcome = Outcome("failed", "job_execution_timeout")
            await self._trace(job, timed_out(job.timeout_seconds))
        self._allowed[job.name] = job.allow_failure or outcome.exit_code in job.allow_failure_codes
        await self._set(job, outcome.status, outcome)
        return outcome

    def _sources(self, job: CompiledJob) -> list[Source]:
        """Those whose artifacts it fetches, as far as they ran."""
        over = ("success", "failed")
        found = [one for one in self._order.artifacts_from(job) if self._statuses[one.name] in over]
        return [Source(one, self._ticket(one.name).id) for one in found]

    async def _cancel_rest(self) -> None:
        for job in self._order.jobs.values():
            if job.name not in self._tasks and self._statuses[job.name] not in STOPPED:
                await self._cancel_one(job)
        for name, task in list(self._tasks.items()):
            await self._end_job(name, task)
        while self._tasks:
            await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            await self._collect()

    async def _cancel_one(self, job: CompiledJob) -> None:
        if self._statuses[job.name] == "canceling":
            await self._trace(job, canceled())
        await self._set(job, "canceled")

    async def _set(self, job: CompiledJob, status: str, outcome: Outcome | None = None) -> None:
        self._statuses[job.name] = status
        allowed = True if self._allowed[job.name] and not job.allow_failure else None
        reason, details = (outcome.failure_reason, outcome.details) if outcome else (None, {})
        await self._report(JobUpdate(job.name, status, reason, at=time.time(), allow_failure=allowed, details=details))

    async def _trace(self, job: CompiledJob, text: str) -> None:
        if text:
            await self._report(JobUpdate(job.name, self._statuses[job.name], None, text, time.time()))


def _again(job: CompiledJob, outcome: Outcome, attempts: int) -> bool:
    """Whether a job runs once more after this outcome."""
    if outcome.status != "failed" or attempts >= job.retry.most:
        return False
    if job.retry.exit_codes and outcome.exit_code is not None:
        return outcome.exit_code in job.retry.exit_codes
    return "always" in job.retry.when or outcome.failure_reason in job.retry.when


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    listed = list(tasks)
    for task in listed:
        task.cancel()
    for task in listed:
        with suppress(asyncio.CancelledError, Exception):
            await task
