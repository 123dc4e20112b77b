"""A watch from the commit to its end: by the fake where the course matters, over real HTTP for every outcome."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sandbox.gitlab.server import GitLabServer, serve
from services.monitor.budget import Budget
from services.monitor.decide import Pace
from services.monitor.lookout import Lookout
from services.monitor.service import Deps, watch
from shared.adapters.gitlab import GitLabClient
from shared.errors import Retry
from shared.events import Commit, CommitCreated, Files, Job, Pipeline, PipelineFailed, PipelinePassed, Rerun, new_run_id
from shared.ports import FileChange, GitLab, Message
from shared.settings import GitLabSettings
from tests.facts import COMMIT, PROPOSAL
from tests.fakes.blobs import FakeBlobs
from tests.fakes.gitlab import FakeGitLab, FakeMergeRequests

TOKEN = "glpat-monitor"
QUICK = Pace(interval=0.01, timeout=20, no_pipeline_after=0.3)
FILES = Files(
    pipeline="compile: {script: [make]}\nnotify_failure: {script: [say], when: on_failure}\n", dockerfile="FROM scratch"
)
AWAY = Retry("GitLab does not answer")


def event(commit: Commit = COMMIT, *, age: float = 0.0, rerun: Rerun | None = None) -> CommitCreated:
    """The event, `age` seconds old."""
    proposal = PROPOSAL.model_copy(update={"files": FILES, "rerun": rerun})
    at = datetime.now(UTC) - timedelta(seconds=age)
    return CommitCreated(run_id=new_run_id(), proposal=proposal, commit=commit, at=at)


def deps(gitlab: GitLab, pace: Pace = QUICK, merge_requests: FakeMergeRequests | None = None) -> Deps:
    """With blobs in memory."""
    lookout = Lookout(gitlab, Budget(1000, longest_pause=pace.interval))
    return Deps(lookout, merge_requests or FakeMergeRequests(), FakeBlobs(), pace)


def playing(*looks: Pipeline | Retry | None) -> FakeGitLab:
    """A GitLab that shows one state after the other."""
    gitlab = FakeGitLab("shop/web")
    gitlab.looks = list(looks)
    return gitlab


def pipeline(status: str, **jobs: str) -> Pipeline:
    """A pipeline with these jobs."""
    made = (Job(id=n, name=name, stage="s", status=ended) for n, (name, ended) in enumerate(jobs.items(), 1))
    return Pipeline(id=3, status=status, jobs=tuple(made))


RUNNING = pipeline("running", compile="running")
GREEN = pipeline("success", compile="success", notify_failure="skipped")


async def failed(of: CommitCreated, on: Deps) -> PipelineFailed:
    """What the watch returns, which is a failure."""
    async with asyncio.timeout(10):
        answer = await watch(of, on)
    assert isinstance(answer, PipelineFailed)
    return answer


async def test_a_green_pipeline_passes() -> None:
    """None at first, then running, then green: all that later phases need is carried on."""
    start = event()
    answer = await watch(start, deps(playing(None, None, RUNNING, GREEN)))
    assert isinstance(answer, PipelinePassed)
    assert answer.pipeline == GREEN
    assert (answer.run_id, answer.attempt, answer.commit) == (start.run_id, start.attempt, start.commit)


async def test_an_outage_does_not_end_the_watch() -> None:
    """GitLab is away at first and in the middle, longer than a missing pipeline is waited for."""
    looks = [AWAY] * 40 + [RUNNING] + [AWAY] * 40 + [GREEN]
    answer = await watch(event(), deps(playing(*looks), Pace(0.01, 20, 0.05)))
    assert isinstance(answer, PipelinePassed)


async def test_an_outage_up_to_the_deadline_ends_it_there() -> None:
    """The reason says that GitLab was silent; no trace is waited for."""
    gone = FakeGitLab("shop/web")
    gone.looks = [pipeline("running", compile="failed", test="running"), AWAY]
    answer = await failed(event(), deps(gone, Pace(0.01, 0.1, 0.05)))
    assert answer.outcome == "deadline"
    assert "GitLab does not answer" in answer.pipeline.reasons[0]


async def test_the_deadline_counts_from_the_event() -> None:
    """Delivered again to another monitor, the watch ends when the first would have ended it."""
    began = time.monotonic()
    answer = await failed(event(age=899.9), deps(playing(RUNNING), Pace(30, 900, 60)))
    assert answer.outcome == "deadline"
    assert time.monotonic() - began < 5
    assert "compile is running" in answer.pipeline.reasons


async def test_an_end_that_came_while_nobody_watched_counts() -> None:
    """A monitor that was away past the deadline finds the pipeline green."""
    assert isinstance(await watch(event(age=5000), deps(playing(GREEN), Pace(30, 900, 60))), PipelinePassed)


async def test_gitlabs_wish_to_slow_down_is_respected() -> None:
    """After a 429 the next look comes no earlier than asked for."""
    began = time.monotonic()
    await watch(event(), deps(playing(Retry("slow down", after=0.3), GREEN)))
    assert time.monotonic() - began >= 0.3


async def test_the_watch_stays_with_the_pipeline_that_it_found() -> None:
    """Once known it is asked for by its id, though the commit has a newer one by then."""
    gitlab = FakeGitLab("shop/web")
    gitlab.add_pipeline(COMMIT.sha, RUNNING)
    watching = asyncio.create_task(watch(event(), deps(gitlab)))
    await gitlab.asked.wait()
    gitlab.add_pipeline(COMMIT.sha, RUNNING.model_copy(update={"id": 4}))
    gitlab.add_pipeline(COMMIT.sha, GREEN)
    async with asyncio.timeout(5):
        answer = await watching
    assert isinstance(answer, PipelinePassed)
    assert answer.pipeline.id == 3


async def test_a_rerun_is_waited_for_until_its_jobs_are_newer() -> None:
    """The old end is still shown at first; the rerun's own end is what counts."""
    old = pipeline("failed", compile="failed")
    newer = Job(id=9, name="compile", stage="s", status="success")
    again = Pipeline(id=3, status="success", jobs=(newer,))
    rerun = Rerun(commit=COMMIT, pipeline_id=3, last_job_id=1)
    assert isinstance(await watch(event(rerun=rerun), deps(playing(old, old, RUNNING, again))), PipelinePassed)


async def test_a_rerun_that_never_begins_is_a_failure() -> None:
    """GitLab had nothing to run again: the old end is reported after the time that a pipeline gets to appear."""
    rerun = Rerun(commit=COMMIT, pipeline_id=3, last_job_id=1)
    answer = await failed(event(rerun=rerun), deps(playing(pipeline("failed", compile="failed"))))
    assert answer.outcome == "failed"


async def test_an_outage_while_traces_are_read_is_a_retry() -> None:
    """Without its traces a failure cannot be healed: the delivery comes again."""

    class Silent(FakeGitLab):
        async def trace(self, _project_id: int, _job: Job) -> bytes:
            raise AWAY

    gitlab = Silent("shop/web")
    gitlab.looks = [pipeline("failed", compile="failed")]
    with pytest.raises(Retry):
        await watch(event(), deps(gitlab))


async def test_a_failure_with_very_much_to_say_fits_into_an_event() -> None:
    """Hundreds of failed jobs with long traces, of text that JSON makes longer."""
    jobs = {f"job{number}": "failed" for number in range(400)}
    gitlab = playing(pipeline("failed", **jobs))
    gitlab.traces = dict.fromkeys(range(401), b'\\"\t' * 30000)
    answer = await failed(event(), deps(gitlab))
    assert len(answer.model_dump_json().encode()) < 256 * 1024


async def test_five_hundred_watches_at_once() -> None:
    """One process follows them all; each gets its own end."""
    gitlab = FakeGitLab("shop/web")
    commits = [COMMIT.model_copy(update={"sha": f"{number:040x}"}) for number in range(500)]
    async with asyncio.timeout(20):
        on = deps(gitlab, Pace(0.2, 20, 10))
        watches = [asyncio.create_task(watch(event(commit), on)) for commit in commits]
        for number, commit in enumerate(commits, 1):
            gitlab.add_pipeline(commit.sha, GREEN.model_copy(update={"id": number}))
        answers = await asyncio.gather(*watches)
    assert [answer.pipeline.id for answer in answers if answer] == list(range(1, 501))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitLabServer]:
    """The sandbox's GitLab with one project."""
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as started:
        await started.create_project("shop/web", files={"README.md": b"shop"})
        yield started


@pytest.fixture
async def client(server: GitLabServer) -> AsyncIterator[GitLabClient]:
    """The real python-gitlab."""
    settings = GitLabSettings(gitlab_url=server.url, gitlab_token=SecretStr(TOKEN), gitlab_timeout=5)
    async with GitLabClient.connect(settings) as connected:
        yield connected


def ended(server: GitLabServer, status: str, yaml_errors: str | None = None, **jobs: str) -> int:
    """The id of a pipeline of COMMIT in the server's store, with these jobs and a trace for each."""
    store = server.forge.store
    row: dict[str, Any] = {"project_id": 1, "sha": COMMIT.sha, "ref": "b", "source": "push", "status": status}
    row |= {"yaml_errors": yaml_errors, **dict.fromkeys(("created_at", "updated_at", "started_at", "finished_at"))}
    pipeline_id: int = store.add("pipeline", row, project=1)["id"]
    for name, how in jobs.items():
        job = {**row, "pipeline_id": pipeline_id, "name": name, "stage": "build", "status": how}
        job |= {"allow_failure": name == "sast", "failure_reason": "script_failure"}
        made = store.add("job", job, project=1)
        store.append_trace(made["id"], f"\x1b[0;33m$ run {name}\x1b[0m\nERROR: {name} says no\n")
    return pipeline_id


@pytest.mark.parametrize(
    ("status", "jobs", "outcome", "reason"),
    [
        ("failed", {"compile": "failed"}, "failed", "compile in stage build is failed .script_failure."),
        ("success", {"compile": "success", "sast": "failed"}, "failed", "sast .*although it may fail"),
        ("success", {"compile": "skipped"}, "failed", "compile in stage build is skipped"),
        ("canceled", {"compile": "canceled"}, "canceled", "compile in stage build is canceled"),
        ("skipped", {}, "skipped", "the pipeline has no jobs"),
        ("manual", {"compile": "manual"}, "blocked", "compile in stage build waits for a person: it is manual"),
        ("scheduled", {"compile": "scheduled"}, "blocked", "compile .* it is scheduled"),
    ],
)
async def test_each_outcome_over_http(
    server: GitLabServer, client: GitLabClient, status: str, jobs: dict[str, str], outcome: str, reason: str
) -> None:
    """Through python-gitlab against the sandbox, with the reason in words."""
    number = ended(server, status, **jobs)
    answer = await failed(event(), deps(client))
    assert (answer.outcome, answer.pipeline.id) == (outcome, number)
    [found] = answer.pipeline.reasons
    assert re.search(reason, found)


async def test_a_failed_job_brings_its_trace(server: GitLabServer, client: GitLabClient) -> None:
    """The whole trace is in the object store, its end without colours in the event; other jobs bring none."""
    ended(server, "failed", compile="success", sast="failed")
    on = deps(client)
    answer = await failed(event(), on)
    good, bad = answer.pipeline.jobs
    assert (good.trace, good.excerpt) == (None, "")
    assert bad.excerpt == "$ run sast\nERROR: sast says no"
    assert bad.trace is not None
    assert await on.blobs.get(bad.trace) == b"\x1b[0;33m$ run sast\x1b[0m\nERROR: sast says no\n"


async def test_a_yaml_error_over_http(client: GitLabClient) -> None:
    """A commit of a broken file: the sandbox's own pipeline says what GitLab says."""
    answer = await failed(event(await pushed(client, "test: {stage: gone, script: [x]}\n")), deps(client))
    assert answer.outcome == "yaml_error"
    assert answer.pipeline.yaml_errors
    assert answer.pipeline.yaml_errors in answer.pipeline.reasons[0]


async def test_no_pipeline_over_http(client: GitLabClient) -> None:
    """Rules that leave every job out make no pipeline at all, which ends the watch in its own time."""
    answer = await failed(event(await pushed(client, "test: {script: [x], rules: [{when: never}]}\n")), deps(client))
    assert answer.outcome == "no_pipeline"
    assert (answer.pipeline.id, answer.pipeline.jobs) == (None, ())


async def pushed(client: GitLabClient, text: str) -> Commit:
    """A commit of this pipeline file on a branch of its own."""
    project = await client.project("shop/web")
    return await client.commit(project, "b", "main", Message("m"), [FileChange("create", ".gitlab-ci.yml", text)])
