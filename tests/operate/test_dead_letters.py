"""A dead letter is delivered again once, or let go; what became of it stays beside it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import nats
import pytest

from shared.bus import Bus
from shared.dead_letters import DeadLetter, NotRedrivable, discard, redrive, waiting
from shared.errors import Reject
from shared.events import RepoAnalyzed, RepoSubmitted
from shared.settings import CommonSettings
from tests.bus.conftest import URL, Handler, bus, kinds, running, server, settings, settled, submitted, until

__all__ = ["bus", "server", "settings"]


def now() -> datetime:
    """The moment of a redrive."""
    return datetime.now(UTC)


async def letter_of_a_refused_run(bus: Bus, settings: CommonSettings) -> tuple[str, DeadLetter]:
    """A run that the analyzer rejected, and its letter."""
    async with running(settings, Handler([Reject("the token is revoked")])):
        run_id = await submitted(bus)
        await until(bus, run_id, "run.failed")
        await settled(bus)
    [letter] = await bus.dead_letters()
    return run_id, letter


async def test_a_redriven_letter_goes_through_as_the_next_attempt(bus: Bus, settings: CommonSettings) -> None:
    """What was mended outside makes the same event pass; a second redrive says who was first."""
    run_id, letter = await letter_of_a_refused_run(bus, settings)
    assert await redrive(bus, letter, source="cli", by="ada", now=now()) == f"repo.submitted.{run_id}.2"
    async with running(settings, Handler()):
        records = await until(bus, run_id, "repo.analyzed")
    assert kinds(records) == ["repo.submitted", "run.failed", "repo.submitted", "repo.analyzed"]
    assert (records[2].by, records[2].again) == ("ada", True)
    [now_settled] = await bus.dead_letters()
    assert waiting([now_settled]) == []
    assert now_settled.settled
    assert (now_settled.settled.outcome, now_settled.settled.next) == ("redriven", f"repo.submitted.{run_id}.2")
    with pytest.raises(NotRedrivable, match="was redriven by ada"):
        await redrive(bus, now_settled, source="cli", by="bob", now=now())
    with pytest.raises(NotRedrivable, match="the run has gone on since, it is at attempt 2"):
        await redrive(bus, letter, source="cli", by="bob", now=now())


async def test_a_discarded_letter_says_who_let_it_go_and_why(bus: Bus, settings: CommonSettings) -> None:
    """It is gone from those that wait, and still to be read."""
    _, letter = await letter_of_a_refused_run(bus, settings)
    done = await asyncio.gather(
        *(discard(bus, letter, by=name, reason="an old repository") for name in ("ada", "bob")), return_exceptions=True
    )
    assert [str(one).partition(";")[0] for one in done if one] == [f"{letter.id} was settled meanwhile"]
    [kept] = await bus.dead_letters()
    assert kept.settled
    assert (kept.settled.outcome, kept.settled.reason) == ("discarded", "an old repository")
    assert kept.reason == "the token is revoked"


async def test_the_letter_of_a_run_that_went_on_is_not_redriven(bus: Bus, settings: CommonSettings) -> None:
    """Nothing is done twice: the run has its next attempt by another way."""
    run_id, letter = await letter_of_a_refused_run(bus, settings)
    await bus.publish(RepoSubmitted(run_id=run_id, attempt=2, repo_url=URL), source="test")
    with pytest.raises(NotRedrivable, match="it is at attempt 2"):
        await redrive(bus, letter, source="cli", by="ada", now=now())
    assert len(await bus.history(run_id)) == 3


async def test_poison_is_not_redriven(bus: Bus, settings: CommonSettings) -> None:
    """Bytes that are no event stay none; an unknown subject neither."""
    client = await nats.connect(settings.nats_url)
    await client.jetstream().publish("repo.submitted.POISON.1", b"\xff")
    await client.close()
    async with running(settings, Handler()):
        await until(bus, "POISON", "run.failed")
    [letter] = await bus.dead_letters()
    with pytest.raises(NotRedrivable, match="no event that can be read; discard"):
        await redrive(bus, letter, source="cli", by="ada", now=now())


async def test_a_bare_submission_is_redriven_under_the_id_that_it_would_have_had(
    bus: Bus, settings: CommonSettings
) -> None:
    """However often: one run."""
    client = await nats.connect(settings.nats_url)
    ack = await client.jetstream().publish("repo.submitted", f'{{"repo_url": "{URL}"}}'.encode())
    await client.close()
    letter = DeadLetter("analyzer", ack.seq, "repo.submitted", "given up", now(), f'{{"repo_url": "{URL}"}}'.encode())
    subject = await redrive(bus, letter, source="cli", by="ada", now=now())
    async with running(settings, Handler()):
        records = await until(bus, subject.split(".")[2], "repo.analyzed")
        await settled(bus, "analyzer-intake")
    assert kinds(await bus.all_events()) == ["repo.submitted", "repo.analyzed"]
    assert isinstance(records[1].event, RepoAnalyzed)
