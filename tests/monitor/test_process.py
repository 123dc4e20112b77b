"""A monitor as it really runs: NATS, the sandbox's GitLab, python-gitlab, and an end in the middle of its work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from greenrun import embedded
from sandbox.gitlab.clock import now
from sandbox.gitlab.server import GitLabServer, serve
from services.monitor.service import service
from services.monitor.settings import Settings
from shared.bus import Bus
from shared.events import (
    CommitCreated,
    Event,
    PipelineFailed,
    PipelinePassed,
    RunCancelled,
    RunFailed,
    new_run_id,
)
from shared.run import serve as run_service
from tests.facts import COMMIT, PROPOSAL
from tests.monitor.test_watch import FILES, TOKEN, ended

MANY = 500
DEADLINE = 60.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitLabServer]:
    """The sandbox's GitLab with one project."""
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as started:
        await started.create_project("shop/web", files={"README.md": b"shop"})
        yield started


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[str]:
    """A NATS server."""
    async with embedded.nats_server(tmp_path / "nats") as url:
        yield url


def settings(nats: str, gitlab: str, **changes: object) -> Settings:
    """A monitor with little patience."""
    values = {"nats_url": nats, "gitlab_url": gitlab, "gitlab_token": TOKEN, "monitor_requests": 1000}
    return Settings.model_validate({**values, "monitor_interval": 0.5, "ack_wait": 3, "retry_base": 0.01, **changes})


@asynccontextmanager
async def monitoring(chosen: Settings) -> AsyncIterator[None]:
    """A monitor of its own."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_service(service, chosen, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def endings(bus: Bus, wanted: Collection[str]) -> dict[str, Event]:
    """Run → how it ended, for each of the runs."""
    found: dict[str, Event] = {}
    async with asyncio.timeout(DEADLINE):
        async for recorded in bus.tail(types=(PipelinePassed, PipelineFailed, RunFailed)):
            if recorded.event.run_id in wanted:
                found[recorded.event.run_id] = recorded.event
            if len(found) == len(wanted):
                break
    return found


def started(sha: str) -> CommitCreated:
    """A run that has come to its commit."""
    proposal = PROPOSAL.model_copy(update={"files": FILES})
    return CommitCreated(run_id=new_run_id(), proposal=proposal, commit=COMMIT.model_copy(update={"sha": sha}))


async def settled(bus: Bus, pending: int) -> None:
    """Return once the monitor has so many deliveries in hand and none waits."""
    async with asyncio.timeout(DEADLINE):
        while True:
            info = await bus._js.consumer_info("EVENTS", "monitor")
            if (info.num_ack_pending, info.num_pending) == (pending, 0):
                return
            await asyncio.sleep(0.05)


async def test_one_process_watches_five_hundred_and_a_restart_loses_none(server: GitLabServer, nats: str) -> None:
    """All in hand at once; the monitor is stopped, gives them back, and its successor brings each to its own end."""
    store, events = server.forge.store, [started(f"{number:040x}") for number in range(MANY)]
    row = {"project_id": 1, "ref": "b", "source": "push", "status": "running", "yaml_errors": None}
    row |= {"created_at": now(), "updated_at": now(), "started_at": None, "finished_at": None}
    ids = {one.commit.sha: store.add("pipeline", {**row, "sha": one.commit.sha}, project=1)["id"] for one in events}
    # Long after the test's own end: what comes again has been given back.
    chosen = settings(nats, server.url, ack_wait=600)
    async with Bus.connect(chosen, "test") as bus:
        await bus.provision()
        await asyncio.gather(*(bus.publish(one, source="test") for one in events))
        async with monitoring(chosen):
            await settled(bus, MANY)
        for number, one in enumerate(events):
            status = "success" if number % 25 else "failed"
            key = ids[one.commit.sha]
            job = {**row, "sha": one.commit.sha, "pipeline_id": key, "name": "compile", "stage": "s"}
            store.add("job", {**job, "status": status, "allow_failure": False, "failure_reason": None}, project=1)
            store.update("pipeline", key, status=status, updated_at=now())
        async with monitoring(chosen):
            found = await endings(bus, {one.run_id for one in events})
    for number, one in enumerate(events):
        ending = found[one.run_id]
        assert isinstance(ending, PipelinePassed if number % 25 else PipelineFailed)
        assert ending.pipeline.id == ids[one.commit.sha]


async def test_a_token_that_is_revoked_in_mid_run_ends_the_run_in_words(server: GitLabServer, nats: str) -> None:
    """The pipeline was followed; then GitLab takes the token no more: what to do stands in the run."""
    server.forge.add_token("bot", "glpat-bot", 30)
    start = started(COMMIT.sha)
    key = ended(server, "running", compile="running")
    chosen = settings(nats, server.url, gitlab_token="glpat-bot", monitor_interval=0.1)
    async with Bus.connect(chosen, "test") as bus:
        await bus.provision()
        async with monitoring(chosen):
            await bus.publish(start, source="test")
            await settled(bus, 1)
            [user] = server.forge.store.list("user")
            server.forge.store.update("user", user["id"], token="gone")
            ending = (await endings(bus, {start.run_id}))[start.run_id]
    assert isinstance(ending, RunFailed)
    assert "set GITLAB_TOKEN" in ending.reason
    assert key


async def test_a_cancelled_run_is_watched_no_longer(server: GitLabServer, nats: str) -> None:
    """One round of the heartbeat later; the others go on."""
    events = [started(f"{number:040x}") for number in range(3)]
    chosen = settings(nats, server.url, ack_wait=0.3, no_pipeline_after=600)
    async with Bus.connect(chosen, "test") as bus:
        await bus.provision()
        async with monitoring(chosen):
            await asyncio.gather(*(bus.publish(one, source="test") for one in events))
            await settled(bus, 3)
            await bus.publish(RunCancelled(run_id=events[0].run_id), source="test")
            await settled(bus, 2)
