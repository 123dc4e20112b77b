"""Commit once although the wire loses, delays or resets what goes over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sandbox.gitlab.server import GitLabServer
from services.committer.service import commit
from shared.adapters.gitlab import GitLabClient
from shared.errors import Retry
from shared.events import CommitCreated, ImagesSeeded, new_run_id
from tests.committer.conftest import settings
from tests.committer.test_commit_once import MENDED, committed, deps, log, proposal, seeded
from tests.committer.wire import Fault, Wire, wire_to


@pytest.fixture
async def wire(server: GitLabServer) -> AsyncIterator[Wire]:
    """A wire to the sandbox's GitLab."""
    async with wire_to(server.url) as made:
        yield made


async def delivered(event: ImagesSeeded, gitlab: GitLabClient, times: int = 5) -> CommitCreated:
    """What comes of an event that is delivered until it goes through."""
    for _ in range(times):
        try:
            answer = await commit(event, deps(gitlab))
        except Retry:
            continue
        assert isinstance(answer, CommitCreated)
        return answer
    raise AssertionError("it never went through")


@pytest.mark.parametrize("fault", ["drop answer", "reset answer", "half an answer", "delay answer"])
async def test_gitlab_accepted_and_its_answer_was_lost(server: GitLabServer, wire: Wire, fault: Fault) -> None:
    """The trailer is found: one commit, asked for once, and the event says that it was there."""
    event = seeded(new_run_id())
    async with GitLabClient.connect(settings(wire.url, timeout=0.5)) as gitlab:
        wire.fault = fault
        answer = await delivered(event, gitlab)
    assert not answer.created
    assert log(server, answer.commit.branch) == [answer.commit.sha]
    assert wire.commits == 1


async def test_the_wire_breaks_before_gitlab_saw_anything(server: GitLabServer, wire: Wire) -> None:
    """Three times; the delivery that comes through makes the commit."""
    event = seeded(new_run_id())
    async with GitLabClient.connect(settings(wire.url)) as gitlab:
        wire.fault, wire.times = "reset before", 3
        answer = await delivered(event, gitlab)
    assert answer.created
    assert log(server, answer.commit.branch) == [answer.commit.sha]


@pytest.mark.parametrize("fault", ["reset before", "reset answer", "delay answer"])
async def test_two_replicas_on_a_bad_wire_make_one_commit(server: GitLabServer, wire: Wire, fault: Fault) -> None:
    """Both have the same event, of a first attempt and of a repair, and the wire is bad for one of them."""
    run_id = new_run_id()
    async with (
        GitLabClient.connect(settings(wire.url, timeout=0.5)) as bad,
        GitLabClient.connect(settings(server.url)) as good,
    ):
        for attempt, of in ((1, proposal()), (2, proposal(MENDED))):
            wire.fault, wire.times = fault, 1
            event = seeded(run_id, attempt, of)
            answers = await asyncio.gather(delivered(event, bad), delivered(event, good))
            assert len({answer.commit.sha for answer in answers}) == 1
            assert len(log(server, answers[0].commit.branch)) == attempt


async def test_a_persons_retry_is_a_commit_of_its_own(server: GitLabServer, client: GitLabClient) -> None:
    """The next attempt has another trailer, though the files are the same; its redelivery finds it."""
    run_id = new_run_id()
    first = await committed(seeded(run_id), client)
    second, again = [await committed(seeded(run_id, 2), client) for _ in range(2)]
    assert second.commit == again.commit != first.commit
    assert log(server, first.commit.branch) == [second.commit.sha, first.commit.sha]
