"""Every way in which a delivery can end, on a real server."""

from __future__ import annotations

import asyncio

import nats
import pytest

from shared.bus import Bus
from shared.delivery import backoff
from shared.errors import Reject, Retry
from shared.events import RepoSubmitted, RunCancelled, RunFailed, adopted_run_id
from shared.settings import CommonSettings
from tests.bus.conftest import (
    DEADLINE,
    URL,
    Handler,
    Server,
    analyzed,
    kinds,
    last,
    quick,
    running,
    settled,
    submitted,
    until,
)


async def test_an_answer_is_published_and_the_delivery_acked(bus: Bus, settings: CommonSettings) -> None:
    """The next event names its cause and its source; nothing stays pending."""
    async with running(settings, Handler()):
        run_id = await submitted(bus)
        records = await until(bus, run_id, "repo.analyzed")
        await settled(bus)
    assert kinds(records) == ["repo.submitted", "repo.analyzed"]
    assert (records[1].cause, records[1].source) == (f"repo.submitted.{run_id}.1", "analyzer")


@pytest.mark.parametrize("error", [Retry("GitLab is away"), RuntimeError("a bug")])
async def test_what_may_pass_is_tried_again(bus: Bus, settings: CommonSettings, error: Exception) -> None:
    """Retry and any unexpected error: the delivery comes again and goes through."""
    handler = Handler([error, error])
    async with running(settings, handler):
        records = await until(bus, await submitted(bus), "repo.analyzed")
        await settled(bus)
    assert len(handler.calls) == 3
    assert kinds(records) == ["repo.submitted", "repo.analyzed"]


async def test_a_rejected_delivery_is_a_dead_letter_and_a_failed_run(bus: Bus, settings: CommonSettings) -> None:
    """The reason is in both; it is not delivered again."""
    handler = Handler([Reject("the token is revoked; make a new one", evidence="401 Unauthorized")])
    async with running(settings, handler):
        run_id = await submitted(bus)
        records = await until(bus, run_id, "run.failed")
        await settled(bus)
    failed = last(records)
    assert isinstance(failed, RunFailed)
    assert (failed.phase, failed.evidence) == ("analyzer", "401 Unauthorized")
    [letter] = await bus.dead_letters()
    assert letter.service == "analyzer"
    assert letter.subject == f"repo.submitted.{run_id}.1"
    assert letter.reason == failed.reason == "the token is revoked; make a new one"
    assert len(handler.calls) == 1


async def test_exhausted_deliveries_end_the_run(bus: Bus, settings: CommonSettings) -> None:
    """After MAX_DELIVERIES the run has failed with the last reason, and the handler is left alone."""
    handler = Handler([Retry(f"away {n}") for n in range(9)])
    async with running(settings, handler):
        records = await until(bus, await submitted(bus), "run.failed")
        await settled(bus)
    failed = last(records)
    assert isinstance(failed, RunFailed)
    assert failed.reason == "given up after 4 deliveries: away 3"
    assert len(handler.calls) == 4
    assert len(await bus.dead_letters()) == 1


@pytest.mark.parametrize("body", [b"\xff\x00", b"{}", b"[" * 5000, b'{"run_id": "other", "repo_url": "https://a/b"}'])
async def test_poison_ends_its_run_and_harms_no_other(bus: Bus, settings: CommonSettings, body: bytes) -> None:
    """Bytes that are no event: dead letter and `run.failed` for the run of the subject; the next run goes through."""
    handler = Handler()
    client = await nats.connect(settings.nats_url)
    await client.jetstream().publish("repo.submitted.POISON.1", body)
    await client.close()
    async with running(settings, handler):
        records = await until(bus, "POISON", "run.failed")
        assert kinds(await until(bus, await submitted(bus), "repo.analyzed"))[-1] == "repo.analyzed"
    failed = last(records)
    assert isinstance(failed, RunFailed)
    assert failed.reason.startswith("poison")
    assert len(handler.calls) == 1
    assert len(await bus.dead_letters()) == 1


async def test_a_bare_message_is_adopted_once(bus: Bus, settings: CommonSettings) -> None:
    """Any NATS client may start a run; its id comes from the message's place and time."""
    client = await nats.connect(settings.nats_url)
    ack = await client.jetstream().publish("repo.submitted", f'{{"repo_url": "{URL}"}}'.encode())
    await client.close()
    stored = await bus._js.get_msg("EVENTS", ack.seq)
    assert stored.time is not None
    run_id = adopted_run_id(ack.seq, stored.time)
    for _ in range(2):
        async with running(settings, Handler()):
            await until(bus, run_id, "repo.analyzed")
            await settled(bus, "analyzer-intake")
        # A redelivery of the same message, as after a lost ack.
        await bus._js.delete_consumer("EVENTS", "analyzer-intake")
        await bus.provision()
    assert kinds(await bus.history(run_id)) == ["repo.submitted", "repo.analyzed"]


async def test_a_bare_message_that_is_no_submission_is_a_dead_letter(bus: Bus, settings: CommonSettings) -> None:
    """There is no run to fail; the reason is kept with the bytes."""
    client = await nats.connect(settings.nats_url)
    await client.jetstream().publish("repo.submitted", b'{"url": "x"}')
    await client.close()
    async with running(settings, Handler()):
        await settled(bus, "analyzer-intake")
    [letter] = await bus.dead_letters()
    assert letter.subject == "repo.submitted"
    assert "repo_url" in letter.reason


async def test_a_long_handler_keeps_its_delivery(bus: Bus, server: Server) -> None:
    """Heartbeats hold the delivery beyond ack_wait: it is handled once."""
    waited = asyncio.Event()

    async def long() -> None:
        for _ in range(6):
            await asyncio.sleep(0.1)
        waited.set()

    handler = Handler([long])
    async with running(quick(server, ack_wait=0.3), handler):
        await until(bus, await submitted(bus), "repo.analyzed")
        await settled(bus)
    assert waited.is_set()
    assert len(handler.calls) == 1


async def test_two_replicas_publish_one_event(bus: Bus, settings: CommonSettings) -> None:
    """Both answer the same delivery, as after a network split: the log has one event."""
    run_id = await submitted(bus)
    event = RepoSubmitted(run_id=run_id, repo_url=URL)
    answers = await asyncio.gather(*(bus.publish(analyzed(event), source="analyzer") for _ in range(20)))
    assert answers.count(True) == 1
    handler = Handler()
    async with running(settings, handler), running(settings, handler):
        ids = [await submitted(bus) for _ in range(20)]
        for one in ids:
            assert kinds(await until(bus, one, "repo.analyzed")) == ["repo.submitted", "repo.analyzed"]


async def test_a_cancelled_run_is_left_alone(bus: Bus, settings: CommonSettings) -> None:
    """The delivery is acked and the handler does not see it."""
    run_id = await submitted(bus)
    await bus.publish(RunCancelled(run_id=run_id, cancelled_by="a person"), source="test")
    handler = Handler()
    async with running(settings, handler):
        await settled(bus)
    assert handler.calls == []
    assert kinds(await bus.history(run_id)) == ["repo.submitted", "run.cancelled"]


async def test_a_run_that_is_cancelled_meanwhile_ends_the_work_on_it(bus: Bus, settings: CommonSettings) -> None:
    """What is in hand, such as a model's answer, is given up; nothing is published for it and nothing comes again."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def for_ever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    handler = Handler([for_ever])
    async with running(settings, handler):
        run_id = await submitted(bus)
        await asyncio.wait_for(began.wait(), DEADLINE)
        await bus.publish(RunCancelled(run_id=run_id, cancelled_by="a person"), source="test")
        await asyncio.wait_for(ended.wait(), DEADLINE)
        await settled(bus)
    assert len(handler.calls) == 1
    assert kinds(await bus.history(run_id)) == ["repo.submitted", "run.cancelled"]


async def test_a_stop_finishes_what_is_in_hand(bus: Bus, settings: CommonSettings) -> None:
    """The handler ends and its answer is in the log; what was not begun is there for the next process."""
    began, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        began.set()
        await asyncio.wait_for(may_end.wait(), DEADLINE)

    one_hand = settings.model_copy(update={"concurrency": 1})
    first, second = await submitted(bus), await submitted(bus)
    async with running(one_hand, Handler([slow])) as stop:
        await asyncio.wait_for(began.wait(), DEADLINE)
        stop.set()
        may_end.set()
    assert kinds(await bus.history(first)) == ["repo.submitted", "repo.analyzed"]
    assert kinds(await bus.history(second)) == ["repo.submitted"]
    async with running(settings, Handler()):
        await until(bus, second, "repo.analyzed")


async def test_a_server_restart_leaves_nobody_deaf(bus: Bus, server: Server, settings: CommonSettings) -> None:
    """Killed while a pull request is waiting: the service and a follower go on by themselves."""
    async with running(settings, Handler()):
        await until(bus, await submitted(bus), "repo.analyzed")
        await server.stop()
        await server.start()
        assert kinds(await until(bus, await submitted(bus), "repo.analyzed")) == ["repo.submitted", "repo.analyzed"]


async def test_a_service_waits_for_a_server_that_is_not_up(bus: Bus, server: Server, settings: CommonSettings) -> None:
    """A service may be started before NATS is."""
    run_id = await submitted(bus)
    await server.stop()
    async with running(settings, Handler()):
        await server.start()
        await until(bus, run_id, "repo.analyzed")


def test_the_delay_grows_and_is_bounded() -> None:
    """Exponential with full jitter, never above the cap, and no overflow after many deliveries."""
    for deliveries in (1, 2, 5, 10_000):
        delays = [backoff(deliveries, base=1, cap=60) for _ in range(200)]
        assert 0 <= min(delays) <= max(delays) <= min(60, 2 ** min(deliveries - 1, 10))
    assert max(backoff(5, base=1, cap=60) for _ in range(200)) > 8
