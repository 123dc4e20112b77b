"""Many watches in one process: what they ask of GitLab together, and what wakes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from aiohttp import web
from pydantic import SecretStr

from services.monitor.budget import Budget
from services.monitor.decide import Pace
from services.monitor.lookout import Lookout
from services.monitor.service import Deps, watch
from shared.adapters.gitlab import GitLabClient
from shared.errors import Reject, Retry
from shared.events import (
    CommitCreated,
    MergeRequest,
    Pipeline,
    PipelineFailed,
    PipelinePassed,
    Submission,
)
from shared.news import News
from shared.settings import GitLabSettings
from tests.committer.conftest import listening
from tests.facts import COMMIT
from tests.fakes.blobs import FakeBlobs
from tests.fakes.gitlab import FakeGitLab, FakeMergeRequests
from tests.monitor.test_watch import GREEN, RUNNING, TOKEN, deps, event, failed, pipeline, playing


class Counting(FakeGitLab):
    """Remembers how many commits each list was asked for."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        super().__init__("shop/web")
        self.lists: list[int] = []
        self.wholes = 0

    async def pipelines_of(
        self, project_id: int, shas: Collection[str], since: datetime
    ) -> dict[str, tuple[Pipeline, ...]]:
        """Counted."""
        self.lists.append(len(shas))
        return await super().pipelines_of(project_id, shas, since)

    async def pipeline(self, project_id: int, pipeline_id: int) -> Pipeline:
        """Counted."""
        self.wholes += 1
        return await super().pipeline(project_id, pipeline_id)


def commits(count: int) -> list[CommitCreated]:
    """The events of so many commits of one project."""
    return [event(COMMIT.model_copy(update={"sha": f"{number:040x}"})) for number in range(count)]


async def test_the_watches_of_a_project_share_one_list() -> None:
    """Who waits for the budget is asked for together; jobs are read at the end alone."""
    gitlab, events = Counting(), commits(100)
    for number, one in enumerate(events, 1):
        gitlab.add_pipeline(one.commit.sha, GREEN.model_copy(update={"id": number}))
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(watch(one, deps(gitlab)) for one in events[:1]))
        on = deps(gitlab)
        answers += await asyncio.gather(*(watch(one, on) for one in events[1:]))
    assert all(isinstance(answer, PipelinePassed) for answer in answers)
    assert gitlab.lists[0] == 1
    assert len(gitlab.lists) <= 5
    assert gitlab.wholes == 100


async def test_the_budget_is_kept_and_what_is_urgent_comes_first() -> None:
    """After the burst one request at a time; the order is that of urgency, then of asking."""
    budget, order = Budget(rate=50, longest_pause=1), list[str]()

    async def ask(name: str, *, urgent: bool = False) -> None:
        await budget.spend(10, urgent=urgent)
        order.append(name)

    began = time.monotonic()
    names = [f"poll {number}" for number in range(8)]
    await asyncio.gather(*(ask(name) for name in names), ask("rung", urgent=True))
    assert order == ["rung", *names]
    # 90 requests at 50 a second; what was not used in the second before counts, and the last one waits for nobody.
    assert time.monotonic() - began >= (90 - 50 - 10) / 50


async def test_a_refusal_stops_every_watch() -> None:
    """429 for one is a pause for all, as long as GitLab asks for; then it goes on."""
    budget = Budget(rate=1000, longest_pause=0.01)
    gitlab = playing(Retry("slow down", after=0.3), GREEN)
    lookout = Lookout(gitlab, budget)
    with pytest.raises(Retry):
        await lookout.pipelines(1, "a", datetime.now(UTC))
    began = time.monotonic()
    await asyncio.gather(*(lookout.pipelines(project, "a", datetime.now(UTC)) for project in (1, 1, 1)))
    assert time.monotonic() - began >= 0.29


async def test_a_watch_that_is_cancelled_leaves_the_list_to_the_others() -> None:
    """Two wait for the same list, the first one goes."""
    gitlab, (one, other) = Counting(), commits(2)
    for number, of in enumerate((one, other), 1):
        gitlab.add_pipeline(of.commit.sha, GREEN.model_copy(update={"id": number}))
    on = deps(gitlab)
    first, second = (asyncio.create_task(watch(of, on)) for of in (one, other))
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(5):
        assert isinstance(await second, PipelinePassed)


def news(of: CommitCreated, status: str, pipeline_id: int = 3, job: str | None = None) -> dict[str, object]:
    """What the gateway says."""
    said = News(project_id=1, pipeline_id=pipeline_id, sha=of.commit.sha, status=status, job=job)
    return said.model_dump()


async def test_a_webhook_ends_the_watch_at_once() -> None:
    """The interval is a minute; what is said of the end brings one look by id, what is said in between brings none."""
    gitlab, start = Counting(), event()
    gitlab.add_pipeline(COMMIT.sha, RUNNING)
    on = deps(gitlab, Pace(60, 900, 60))
    watching = asyncio.create_task(watch(start, on))
    await gitlab.asked.wait()
    for said in ({}, {"project_id": "x"}, news(start, "running"), news(start, "success", job="compile")):
        on.ears.hear(said)
    gitlab.add_pipeline(COMMIT.sha, GREEN)
    on.ears.hear(news(start, "success"))
    async with asyncio.timeout(5):
        assert isinstance(await watching, PipelinePassed)
    assert (gitlab.lists, gitlab.wholes) == ([1], 1)


async def test_a_webhook_that_lies_ends_nothing() -> None:
    """It says success while the pipeline runs: GitLab itself is asked, and the watch goes on."""
    gitlab, start = Counting(), event()
    gitlab.add_pipeline(COMMIT.sha, RUNNING)
    on = deps(gitlab, Pace(0.2, 20, 10))
    watching = asyncio.create_task(watch(start, on))
    await gitlab.asked.wait()
    on.ears.hear(news(start, "success"))
    await asyncio.wait({watching}, timeout=0.1)
    assert not watching.done()
    gitlab.add_pipeline(COMMIT.sha, GREEN)
    on.ears.hear(news(start, "success"))
    async with asyncio.timeout(5):
        assert isinstance(await watching, PipelinePassed)


async def test_a_pipeline_that_no_runner_takes_is_named() -> None:
    """Stuck, with the job, long before the deadline."""
    waits = pipeline("pending", compile="pending")
    answer = await failed(event(), deps(playing(waits), Pace(0.01, 20, 0.3, stuck_after=0.05)))
    assert answer.outcome == "stuck"
    assert "compile in stage s waits for a runner" in answer.pipeline.reasons[0]


async def test_where_no_pipeline_was_wanted_none_is_watched() -> None:
    """`[skip ci]` by the person's own wish: nothing is asked, nothing is claimed."""
    wanted = Submission(repo_url="https://a/b", skip_ci=True)
    start = event()
    start = start.model_copy(update={"proposal": start.proposal.model_copy(update={"submission": wanted})})
    assert await watch(start, deps(FakeGitLab("shop/web"))) is None


@pytest.mark.parametrize(("seen", "ready"), [(GREEN, True), (pipeline("failed", compile="failed"), False)])
async def test_the_merge_request_is_ready_when_the_pipeline_passed(seen: Pipeline, *, ready: bool) -> None:
    """Its comment says how the attempt ended; delivered twice, it is the same comment."""
    requests = FakeMergeRequests()
    start = event().model_copy(update={"merge_request": MergeRequest(iid=1, web_url="http://x")})
    for _ in range(2):
        answer = await watch(start, deps(playing(seen), merge_requests=requests))
        assert isinstance(answer, PipelinePassed if ready else PipelineFailed)
        assert answer.merge_request == MergeRequest(iid=1, web_url="http://x", draft=not ready)
    assert bool(requests.ready) is ready
    [note] = requests.notes[1]
    assert ("green" if ready else "`compile in stage s is failed`") in note


async def test_a_merge_request_that_cannot_be_told_does_not_change_the_end() -> None:
    """The pipeline passed; the event says what could not be done."""
    requests = FakeMergeRequests()
    requests.no = Reject("it is closed")
    start = event().model_copy(update={"merge_request": MergeRequest(iid=1)})
    answer = await watch(start, deps(playing(GREEN), merge_requests=requests))
    assert isinstance(answer, PipelinePassed)
    assert answer.merge_request == MergeRequest(iid=1, problem="it is closed")


@pytest.mark.parametrize("header", ["1", "date", None])
async def test_gitlab_that_asks_to_slow_down_and_is_sick_in_between(header: str | None) -> None:
    """429 with seconds, with a date, without either, then 502 in a row: each is waited out, and the end is seen."""
    answers = [429, 429, 502, 502, 502, 200]
    seen: list[float] = []
    value = formatdate(time.time() + 2, usegmt=True) if header == "date" else header

    async def answer(request: web.Request) -> web.Response:
        seen.append(time.monotonic())
        status = answers.pop(0) if answers else 200
        if status == 429:
            return web.Response(status=429, text="Retry later\n", headers={"Retry-After": value} if value else {})
        if status == 502:
            return web.Response(status=502, text="<html>Bad Gateway</html>")
        job = {"id": 1, "name": "compile", "stage": "s", "status": "success", "allow_failure": False, "web_url": ""}
        one = {"id": 3, "sha": COMMIT.sha, "status": "success", "web_url": "x"}
        answered = [job] if request.path.endswith("/jobs") else one if request.path.endswith("/3") else [one]
        return web.json_response(answered)

    async with listening(answer) as url:
        chosen = GitLabSettings(gitlab_url=url, gitlab_token=SecretStr(TOKEN))
        async with GitLabClient.connect(chosen) as client, asyncio.timeout(20):
            lookout = Lookout(client, Budget(1000, longest_pause=0.05))
            on = Deps(lookout, FakeMergeRequests(), FakeBlobs(), Pace(0.05, 60, 30))
            ending = await watch(event(), on)
    assert isinstance(ending, PipelinePassed)
    assert len(seen) == 8
    if header:
        assert seen[1] - seen[0] >= 0.9
