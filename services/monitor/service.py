"""Monitor: follows the pipeline and its jobs to the end; the quality gate."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from services.monitor import decide
from services.monitor.settings import Settings
from shared.adapters.blobs import BlobStore
from shared.adapters.gitlab import GitLabClient
from shared.ci.gate import whens as whens_of
from shared.errors import Retry
from shared.events import CommitCreated, Pipeline, PipelineFailed, PipelinePassed
from shared.logging import logger
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.events import Job, Outcome
    from shared.ports import Blobs, GitLab

log = logger("monitor")


@dataclass(frozen=True)
class Deps:
    """GitLab, the object store for traces, and the pace."""

    gitlab: GitLab
    blobs: Blobs
    pace: decide.Pace


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """A client of GitLab and the bus's object store."""
    pace = decide.Pace(settings.monitor_interval, settings.monitor_timeout, settings.no_pipeline_after)
    async with GitLabClient.connect(settings) as gitlab:
        yield Deps(gitlab, BlobStore(bus), pace)


async def watch(event: CommitCreated, deps: Deps) -> PipelinePassed | PipelineFailed:
    """The end of the pipeline. An outage of GitLab does not end the watch; the deadline counts from the event."""
    whens = whens_of(event.proposal.files)
    sight = decide.Sight()
    while True:
        wish = None
        try:
            sight = decide.Sight(await _look(event, deps.gitlab, sight.pipeline))
        except Retry as error:
            wish = error.after
            sight = replace(sight, silence=error.reason)
            log.warning("GitLab does not answer, looking again", reason=error.reason)
        age = (datetime.now(UTC) - event.at).total_seconds()
        outcome = decide.stands(sight, event.proposal.rerun, age, deps.pace, whens)
        if outcome == "passed" and sight.pipeline:
            return PipelinePassed(**_same(event), pipeline=decide.fitting(sight.pipeline))
        if outcome not in {"running", "passed"}:
            return await _failed(event, deps, sight, cast("Outcome", outcome))
        await asyncio.sleep(deps.pace.pause(age, wish))


async def _look(event: CommitCreated, gitlab: GitLab, seen: Pipeline | None) -> Pipeline | None:
    """The pipeline as it is now; None where there is none yet."""
    project = event.commit.project_id
    known = event.proposal.rerun.pipeline_id if event.proposal.rerun else seen and seen.id
    if known:
        return await gitlab.pipeline(project, known)
    return await gitlab.pipeline_of(project, event.commit.sha)


async def _failed(event: CommitCreated, deps: Deps, sight: decide.Sight, outcome: Outcome) -> PipelineFailed:
    """The failure with its evidence: reasons job by job, and the traces of the jobs that failed."""
    whens = whens_of(event.proposal.files)
    reasons = decide.reasons(outcome, sight, event.commit.sha, deps.pace, whens)
    pipeline = decide.fitting(sight.pipeline or Pipeline(status="none"))
    limit = decide.excerpt_bytes(sum(job.status == "failed" for job in pipeline.jobs))
    # GitLab may be silent at the deadline: the run ends all the same, its traces stay on GitLab.
    jobs = pipeline.jobs
    if not sight.silence:
        jobs = tuple([await _with_trace(event, deps, job, limit) for job in jobs])
    kept = pipeline.model_copy(update={"jobs": jobs, "reasons": reasons})
    return PipelineFailed(**_same(event), outcome=outcome, pipeline=kept)


async def _with_trace(event: CommitCreated, deps: Deps, job: Job, limit: int) -> Job:
    """A failed job with its trace in the object store and the end of it as excerpt; other jobs as they are."""
    if job.status != "failed":
        return job
    trace = await deps.gitlab.trace(event.commit.project_id, job)
    if not trace:
        return job
    reference = await deps.blobs.put(trace)
    return job.model_copy(update={"trace": reference, "excerpt": decide.excerpt(trace, limit)})


def _same(event: CommitCreated) -> dict[str, Any]:
    """What the next event carries on."""
    return {name: getattr(event, name) for name in ("run_id", "attempt", "proposal", "images", "commit")}


service = Service("monitor", Settings, connect, {CommitCreated: watch})
