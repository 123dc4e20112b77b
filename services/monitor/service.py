"""Monitor: follows the pipeline and its jobs to the end; the quality gate.

Thousands of watches are in hand at once, each a coroutine that sleeps: until a webhook rings, or until the next look is
due. What they ask of GitLab goes through one lookout with one budget.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from services.monitor import decide
from services.monitor.budget import Budget
from services.monitor.ears import Ears
from services.monitor.lookout import Lookout
from services.monitor.settings import Settings
from shared import merge_request
from shared.adapters.blobs import BlobStore
from shared.adapters.gitlab import GitLabClient
from shared.adapters.gitlab_merge import GitLabMergeRequests
from shared.ci.gate import whens as whens_of
from shared.errors import Reject, Retry
from shared.events import CommitCreated, Pipeline, PipelineFailed, PipelinePassed
from shared.logging import logger
from shared.news import EVERY_SUBJECT
from shared.service import Service
from shared.settings import PortalSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.monitor.ears import Ear
    from shared.bus import Bus
    from shared.events import Job, MergeRequest, Outcome
    from shared.merge_request import Report
    from shared.ports import Blobs, MergeRequests

log = logger("monitor")
# How far GitLab's clock may be behind ours.
CLOCK_SKEW = timedelta(minutes=10)


@dataclass(frozen=True)
class Deps:
    """What looks at GitLab, its merge requests, the object store for traces, the pace, and what webhooks say."""

    lookout: Lookout
    merge_requests: MergeRequests
    blobs: Blobs
    pace: decide.Pace
    ears: Ears = field(default_factory=Ears)
    portal: PortalSettings = field(default_factory=PortalSettings)


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """A client of GitLab, the bus's object store, and an ear on what the gateway hears of GitLab."""
    interval, timeout = settings.monitor_interval, settings.monitor_timeout
    pace = decide.Pace(interval, timeout, settings.no_pipeline_after, settings.stuck_after)
    ears = Ears()
    budget = Budget(settings.monitor_requests, longest_pause=interval)
    async with (
        GitLabClient.connect(settings) as gitlab,
        Lookout(gitlab, budget).open() as lookout,
        bus.listen(EVERY_SUBJECT, ears.hear),
    ):
        yield Deps(lookout, GitLabMergeRequests(gitlab), BlobStore(bus), pace, ears, settings)


async def watch(event: CommitCreated, deps: Deps) -> PipelinePassed | PipelineFailed | None:
    """The end of the pipeline; None where none was wanted.

    An outage of GitLab does not end the watch; the deadline counts from the event, whoever watches.
    """
    if event.proposal.submission.skip_ci:
        return None
    with deps.ears.listening(event.commit.project_id, event.commit.sha) as ear:
        sight, outcome = await _followed(event, deps, ear)
    if outcome == "passed" and sight.pipeline:
        report = decide.passed_report(event, sight.pipeline)
        told = await _told(event, deps, report, ready=True)
        return PipelinePassed(**_same(event), merge_request=told, pipeline=decide.fitting(sight.pipeline))
    return await _failed(event, deps, sight, cast("Outcome", outcome))


async def _followed(event: CommitCreated, deps: Deps, ear: Ear) -> tuple[decide.Sight, str]:
    """What was seen at the end, and how it ended."""
    whens = whens_of(event.proposal.files)
    sight = decide.Sight()
    while True:
        before = sight
        try:
            sight = before.after(await _look(event, deps, ear, before), _age(event))
        except Retry as error:
            sight = before.silent(error.reason)
            log.warning("GitLab does not answer, looking again", reason=error.reason)
        outcome = decide.stands(sight, event.proposal.rerun, _age(event), deps.pace, whens, before)
        if outcome != "running":
            return sight, outcome
        await ear.wait(deps.pace.pause(sight, _age(event), hooked=ear.hooked))


async def _look(event: CommitCreated, deps: Deps, ear: Ear, before: decide.Sight) -> Pipeline | None:
    """The pipeline as it is now, with its jobs where they matter; None where there is none yet."""
    project, rerun = event.commit.project_id, event.proposal.rerun
    known = rerun.pipeline_id if rerun else before.pipeline and before.pipeline.id
    ended, ear.pipeline_id = ear.pipeline_id, None
    if rerun or (ended and ended == (known or ended)):
        return await deps.lookout.pipeline(project, known or ended or 0)
    found = await deps.lookout.pipelines(project, event.commit.sha, event.at - CLOCK_SKEW)
    seen = next((one for one in found if known in (None, one.id)), None)
    if seen is None and known is None:
        return None
    if seen is None or decide.needs_jobs(seen, before, _age(event), deps.pace):
        return await deps.lookout.pipeline(project, (seen.id if seen else known) or 0)
    return seen


async def _failed(event: CommitCreated, deps: Deps, sight: decide.Sight, outcome: Outcome) -> PipelineFailed:
    """The failure with its evidence: reasons job by job, and the traces of the jobs that failed."""
    whens = whens_of(event.proposal.files)
    reasons = decide.reasons(outcome, sight, event.commit.sha, deps.pace, whens)
    pipeline = decide.fitting(sight.pipeline or Pipeline(status="none"))
    limit = decide.excerpt_bytes(sum(job.status == "failed" for job in pipeline.jobs))
    jobs, told = pipeline.jobs, event.merge_request
    # GitLab may be silent at the deadline: the run ends all the same, its traces stay on GitLab.
    if not sight.silence:
        jobs = tuple([await _with_trace(event, deps, job, limit) for job in jobs])
        told = await _told(event, deps, decide.failed_report(event, outcome, reasons))
    kept = pipeline.model_copy(update={"jobs": jobs, "reasons": reasons})
    return PipelineFailed(**_same(event), merge_request=told, outcome=outcome, pipeline=kept)


async def _with_trace(event: CommitCreated, deps: Deps, job: Job, limit: int) -> Job:
    """A failed job with its trace in the object store and the end of it as excerpt; other jobs as they are."""
    if job.status != "failed":
        return job
    trace = await deps.lookout.trace(event.commit.project_id, job)
    if not trace:
        return job
    reference = await deps.blobs.put(trace)
    return job.model_copy(update={"trace": reference, "excerpt": decide.excerpt(trace, limit)})


async def _told(event: CommitCreated, deps: Deps, report: Report, *, ready: bool = False) -> MergeRequest | None:
    """The run's merge request with its comment at this state, and no draft any more where `ready`.

    A refusal does not change how the pipeline ended: the event says what could not be done.
    """
    request, project = event.merge_request, event.commit.project_id
    if request is None or request.iid is None:
        return request
    try:
        run, repairs = deps.portal.run_name(event.run_id), event.proposal.repairs
        await merge_request.tell(deps.merge_requests, project, request.iid, report, event, repairs, run)
        if ready:
            await deps.merge_requests.mark_ready(project, request.iid)
    except Reject as error:
        return request.model_copy(update={"problem": error.reason})
    return request.model_copy(update={"draft": request.draft and not ready})


def _age(event: CommitCreated) -> float:
    """Seconds since the commit."""
    return (datetime.now(UTC) - event.at).total_seconds()


def _same(event: CommitCreated) -> dict[str, Any]:
    """What the next event carries on."""
    return {name: getattr(event, name) for name in ("run_id", "attempt", "proposal", "images", "commit")}


service = Service("monitor", Settings, connect, {CommitCreated: watch}, gives_back=True)
