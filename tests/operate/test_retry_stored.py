"""What a retry stores, and that of several at once only one is heard."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from shared.bus import Bus
from shared.errors import Conflict
from shared.events import RepoSubmitted, RunCancelled, RunFailed
from shared.retry import options, plan
from tests.bus.conftest import bus, server, settings, submitted

__all__ = ["bus", "server", "settings"]


async def failed_run(bus: Bus) -> str:
    """A run that ended in the analyzer."""
    run_id = await submitted(bus)
    await bus.publish(RunFailed(run_id=run_id, phase="analyzer", reason="no such repository"), source="analyzer")
    return run_id


async def test_a_retry_says_who_wanted_it_and_of_which_event(bus: Bus) -> None:
    """The second attempt has the person and the event in its envelope."""
    run_id = await failed_run(bus)
    made = plan(await bus.history(run_id), None, options(["ref=main"]), now=datetime.now(UTC))
    await bus.retry(made, source="cli", by="ada")
    # The same once more, as where the answer was lost on the way.
    await bus.retry(made, source="cli", by="ada")
    last = (await bus.history(run_id))[-1]
    assert isinstance(last.event, RepoSubmitted)
    assert (last.subject, last.event.ref) == (f"repo.submitted.{run_id}.2", "main")
    assert (last.source, last.by, last.cause, last.again) == ("cli", "ada", f"repo.submitted.{run_id}.1", True)
    assert [record.again for record in await bus.history(run_id)] == [False, False, True]


async def test_of_two_who_retry_at_once_one_is_told(bus: Bus) -> None:
    """Both saw the failed run; the second one's options are not lost silently."""
    run_id = await failed_run(bus)
    records, now = await bus.history(run_id), datetime.now(UTC)
    plans = [plan(records, None, options([f"ref={name}"]), now=now) for name in ("a", "b")]
    done = await asyncio.gather(*(bus.retry(one, source="cli", by="x") for one in plans), return_exceptions=True)
    assert [type(one) for one in done if one] == [Conflict]
    assert len(await bus.history(run_id)) == 3


async def test_a_run_that_is_cancelled_meanwhile_is_not_retried(bus: Bus) -> None:
    """What was planned before the cancellation is refused by the server itself."""
    run_id = await failed_run(bus)
    made = plan(await bus.history(run_id), now=datetime.now(UTC))
    await bus.publish(RunCancelled(run_id=run_id), source="cli")
    with pytest.raises(Conflict, match="has gone on meanwhile"):
        await bus.retry(made, source="cli", by="ada")
