"""What the log keeps and shows: guards, envelope, reading, provisioning."""

from __future__ import annotations

import asyncio
import json

import nats
import pytest

from shared.bus import Bus
from shared.errors import Reject
from shared.events import RepoSubmitted, RunFailed
from shared.settings import CommonSettings
from tests.bus.conftest import DEADLINE, URL, Server, kinds, submitted


async def test_the_first_event_of_a_subject_stays(bus: Bus) -> None:
    """A second one with other content is refused and changes nothing."""
    run_id = await submitted(bus)
    answers = [
        await bus.publish(RunFailed(run_id=run_id, phase="seeder", reason=reason), source="seeder")
        for reason in ("first", "second")
    ]
    assert answers == [True, False]
    records = await bus.history(run_id)
    assert kinds(records) == ["repo.submitted", "run.failed"]
    assert isinstance(records[-1].event, RunFailed)
    assert records[-1].event.reason == "first"


async def test_an_event_is_a_cloudevent(bus: Bus) -> None:
    """CloudEvents 1.0 in binary mode: the context in the headers, the data as the body."""
    run_id = await submitted(bus)
    stored = await bus._js.get_last_msg("EVENTS", f"repo.submitted.{run_id}.1")
    headers = stored.headers or {}
    assert {name: headers[name] for name in ("ce-specversion", "ce-id", "ce-type", "ce-source")} == {
        "ce-specversion": "1.0",
        "ce-id": f"repo.submitted.{run_id}.1",
        "ce-type": "repo.submitted",
        "ce-source": "greenrun/test",
    }
    version, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (version, len(trace_id), len(span_id), flags) == ("00", 32, 16, "01")
    assert headers["ce-time"].endswith("+00:00")
    assert json.loads(stored.data or b"")["repo_url"] == URL


async def test_a_type_can_be_watched_as_it_happens(bus: Bus, settings: CommonSettings) -> None:
    """`nats sub live.repo.submitted` shows each such event."""
    client = await nats.connect(settings.nats_url)
    subscription = await client.subscribe("live.repo.submitted")
    await client.flush()
    run_id = await submitted(bus)
    seen = await subscription.next_msg(timeout=DEADLINE)
    assert json.loads(seen.data)["run_id"] == run_id
    await client.close()


async def test_what_is_too_large_is_refused_with_advice(bus: Bus) -> None:
    """256 KB is the limit; the sentence says where large things go."""
    huge = RunFailed(run_id="R", phase="healer", reason="x" * 300_000)
    with pytest.raises(Reject, match="put what is large into a blob"):
        await bus.publish(huge, source="test")


async def test_foreign_bytes_in_the_log_disturb_no_reader(bus: Bus, settings: CommonSettings) -> None:
    """They are left out of the history and of the tail."""
    run_id = await submitted(bus)
    client = await nats.connect(settings.nats_url)
    await client.jetstream().publish(f"repo.analyzed.{run_id}.1", b"\xff")
    await client.close()
    await bus.publish(RunFailed(run_id=run_id, phase="analyzer", reason="poison"), source="test")
    assert kinds(await bus.history(run_id)) == ["repo.submitted", "run.failed"]
    tail = bus.tail(run_id=run_id)
    async with asyncio.timeout(DEADLINE):
        assert [(await anext(tail)).event.type for _ in range(2)] == ["repo.submitted", "run.failed"]
    await tail.aclose()


async def test_an_unknown_run_has_no_history(bus: Bus) -> None:
    """Empty, at once; also in an empty log."""
    assert await bus.history("NOBODY") == []
    assert await bus.all_events() == []


async def test_the_tail_goes_on_from_a_sequence(bus: Bus) -> None:
    """Who was away misses nothing and sees nothing twice."""
    first, second = await submitted(bus), await submitted(bus)
    [known] = await bus.history(first)
    tail = bus.tail(from_sequence=known.sequence + 1)
    async with asyncio.timeout(DEADLINE):
        assert (await anext(tail)).event.run_id == second
    await tail.aclose()


async def test_provisioning_can_be_repeated_and_says_what_is_missing(bus: Bus) -> None:
    """It keeps what is in the log, and names a consumer that somebody removed."""
    run_id = await submitted(bus)
    await bus.provision()
    assert await bus.provisioned() == []
    assert kinds(await bus.history(run_id)) == ["repo.submitted"]
    await bus._js.delete_consumer("EVENTS", "seeder")
    assert await bus.provisioned() == ["the consumer seeder is missing"]
    await bus.provision()
    assert await bus.provisioned() == []


async def test_nobody_can_delete_from_the_log(bus: Bus, settings: CommonSettings) -> None:
    """Neither one message nor all of them."""
    run_id = await submitted(bus)
    client = await nats.connect(settings.nats_url)
    for request, body in (("MSG.DELETE", b'{"seq": 1}'), ("PURGE", b"")):
        answer = json.loads((await client.request(f"$JS.API.STREAM.{request}.EVENTS", body, timeout=5)).data)
        assert answer["error"]["code"] in {400, 500}
    await client.close()
    assert kinds(await bus.history(run_id)) == ["repo.submitted"]


def test_a_submission_never_carries_a_token() -> None:
    """Events are kept for ever; an address with credentials is refused, one with an ssh user is not."""
    for url in ("https://token@gitlab.example/a/b", "https://oauth2:glpat-x@gitlab.example/a/b.git"):
        with pytest.raises(ValueError, match="carries credentials"):
            RepoSubmitted(run_id="R", repo_url=url)
    assert RepoSubmitted(run_id="R", repo_url="ssh://git@gitlab.example/a/b.git").repo_url


async def test_who_follows_goes_on_after_nats_was_long_away(bus: Bus, server: Server) -> None:
    """Also where NATS does not answer when it is asked whether there is more."""
    bus._js._timeout = 0.2
    tail = bus.tail()
    before = await submitted(bus)
    async with asyncio.timeout(DEADLINE):
        assert (await anext(tail)).event.run_id == before
        following = asyncio.create_task(anext(tail))
        await server.stop()
        # Silence for a second, then a question that nobody answers.
        await asyncio.wait({following}, timeout=2)
        await server.start()
        after = await submitted(bus)
        assert (await following).event.run_id == after
    await tail.aclose()
