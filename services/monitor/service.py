"""Monitor: follows the pipeline and its jobs to the end; the quality gate."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from services.monitor import decide
from services.monitor.settings import Settings
from shared.adapters.blobs import BlobStore
from shared.adapters.gitlab import GitLabClient
from shared.errors import Retry
from shared.events import CommitCreated, PipelineFailed, PipelinePassed
from shared.events import Pipeline as PipelineFact
from shared.logging import logger
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.events import Job, Outcome
    from shared.ports import Blobs, GitLab

MAX_REASONS = 50
log = logger("monitor")


@dataclass(frozen=True)
class Pace:
    """How often to look, when to give up, and when there is no pipeline; in seconds."""

    interval: float
    timeout: float
    no_pipeline_after: float


@dataclass(frozen=True)
class Deps:
    """GitLab, the object store for traces, and the pace."""

    gitlab: GitLab
    blobs: Blobs
    pace: Pace


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """A client of GitLab and the bus's object store."""
    pace = Pace(settings.monitor_interval, settings.monitor_timeout, settings.no_pipeline_after)
    async with GitLabClient.connect(settings) as gitlab:
        yield Deps(gitlab, BlobStore(bus), pace)


async def watch(event: CommitCreated, deps: Deps) -> PipelinePassed | PipelineFailed:
    """The end of the pipeline. An outage of GitLab does not end the watch; the deadline counts from the event."""
    whens = decide.whens(event.proposal.files)
    pipeline = PipelineFact(status="none")
    while True:
        answered = True
        try:
            pipeline = await _look(event, deps) or pipeline
        except Retry as error:
            answered = False
            log.warning("GitLab does not answer, looking again", reason=error.reason)
        age = (datetime.now(UTC) - event.at).total_seconds()
        if pipeline.id is not None and (stands := decide.verdict(pipeline, whens)) != "running":
            if stands == "passed":
                return PipelinePassed(**_same(event), pipeline=pipeline)
            return await _failed(event, deps, pipeline, stands)
        if pipeline.id is None and answered and age > deps.pace.no_pipeline_after:
            return await _failed(event, deps, pipeline, "no_pipeline")
        if age > deps.pace.timeout:
            return await _failed(event, deps, pipeline, "deadline")
        await asyncio.sleep(deps.pace.interval)


async def _look(event: CommitCreated, deps: Deps) -> PipelineFact | None:
    """The pipeline as it is now; None where there is none yet."""
    project = event.commit.project_id
    if event.proposal.rerun:
        return await deps.gitlab.pipeline(project, event.proposal.rerun.pipeline_id)
    return await deps.gitlab.pipeline_of(project, event.commit.sha)


async def _failed(event: CommitCreated, deps: Deps, pipeline: PipelineFact, outcome: Outcome) -> PipelineFailed:
    """The failure with its evidence: reasons job by job, and the traces of the jobs that failed."""
    jobs = [await _with_trace(event, deps, job) for job in pipeline.jobs]
    reasons = _reasons(event, deps, pipeline, outcome)
    kept = pipeline.model_copy(update={"jobs": tuple(jobs), "reasons": reasons[:MAX_REASONS]})
    return PipelineFailed(**_same(event), outcome=outcome, pipeline=kept)


def _reasons(event: CommitCreated, deps: Deps, pipeline: PipelineFact, outcome: Outcome) -> tuple[str, ...]:
    """Why the gate stays shut, in the words that fit the outcome."""
    if outcome == "yaml_error":
        return (f"GitLab refuses the file: {pipeline.yaml_errors}",)
    if outcome == "no_pipeline":
        return (f"GitLab made no pipeline for {event.commit.sha[:12]}: its rules leave every job out",)
    if outcome == "blocked":
        return decide.waiting(pipeline.jobs)
    if outcome == "deadline":
        unfinished = ", ".join(job.name for job in pipeline.jobs if job.status not in decide.COMPLETED)
        return (f"not over after {deps.pace.timeout:.0f} s; unfinished: {unfinished or 'the pipeline itself'}",)
    return decide.gate(pipeline.jobs, decide.whens(event.proposal.files)) or (f"the pipeline is {pipeline.status}",)


async def _with_trace(event: CommitCreated, deps: Deps, job: Job) -> Job:
    """A failed job with its trace in the object store and the end of it as excerpt; other jobs as they are."""
    if job.status != "failed":
        return job
    trace = await deps.gitlab.trace(event.commit.project_id, job)
    if not trace:
        return job
    reference = await deps.blobs.put(trace)
    return job.model_copy(update={"trace": reference, "excerpt": decide.excerpt(trace)})


def _same(event: CommitCreated) -> dict[str, Any]:
    """What the next event carries on."""
    return {name: getattr(event, name) for name in ("run_id", "attempt", "proposal", "images", "commit")}


service = Service("monitor", Settings, connect, {CommitCreated: watch})
