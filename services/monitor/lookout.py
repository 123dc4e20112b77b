"""Asks GitLab on behalf of all watches: one list for all that are due in a project, within one budget."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from shared.errors import Retry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping
    from datetime import datetime

    from services.monitor.budget import Budget
    from shared.events import Job, Pipeline
    from shared.ports import GitLab

    Found = Mapping[str, tuple[Pipeline, ...]]

T = TypeVar("T")
# A pipeline by its id is two requests: itself, and its jobs.
WHOLE = 2


@dataclass
class Batch:
    """The watches of one project that wait for the same list."""

    since: datetime
    shas: set[str] = field(default_factory=set)
    task: asyncio.Task[Found] | None = None


class Lookout:
    """The pipelines of GitLab as one monitor sees them."""

    def __init__(self, gitlab: GitLab, budget: Budget) -> None:
        """Nothing is asked yet."""
        self._gitlab = gitlab
        self._budget = budget
        self._batches: dict[int, Batch] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Lookout]:
        """Itself; no list is on its way any more when the context closes."""
        try:
            yield self
        finally:
            tasks = [batch.task for batch in self._batches.values() if batch.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def pipelines(self, project_id: int, sha: str, since: datetime) -> tuple[Pipeline, ...]:
        """The pipelines of a commit, newest first, without their jobs; Retry where GitLab does not answer."""
        batch = self._batches.setdefault(project_id, Batch(since))
        batch.shas.add(sha)
        batch.since = min(batch.since, since)
        if batch.task is None:
            batch.task = asyncio.create_task(self._list(project_id, batch))
            batch.task.add_done_callback(_looked_at)
        # The list goes on for the others when one watch of it is cancelled.
        return (await asyncio.shield(batch.task)).get(sha, ())

    async def pipeline(self, project_id: int, pipeline_id: int) -> Pipeline:
        """A pipeline with its jobs."""
        await self._budget.spend(WHOLE, urgent=True)
        return await self._heeded(self._gitlab.pipeline(project_id, pipeline_id))

    async def trace(self, project_id: int, job: Job) -> bytes:
        """The trace of a job."""
        await self._budget.spend(1, urgent=True)
        return await self._heeded(self._gitlab.trace(project_id, job))

    async def _list(self, project_id: int, batch: Batch) -> Found:
        """The list; who comes while the budget is waited for is in it, who comes later begins another."""
        await self._budget.spend(1)
        if self._batches.get(project_id) is batch:
            del self._batches[project_id]
        return await self._heeded(self._gitlab.pipelines_of(project_id, frozenset(batch.shas), batch.since))

    async def _heeded(self, asked: Awaitable[T]) -> T:
        """The answer; a refusal stops everybody for a while."""
        try:
            answer = await asked
        except Retry as error:
            self._budget.refused(error.after)
            raise
        self._budget.answered()
        return answer


def _looked_at(task: asyncio.Task[Found]) -> None:
    """A list that nobody waits for any more may fail without a word."""
    if not task.cancelled():
        task.exception()
