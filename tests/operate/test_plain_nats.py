"""What docs/operations.md says of the plain `nats` command: the same requests over the wire, and what they answer."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus import Bus
from shared.errors import Reject
from shared.settings import CommonSettings
from tests.bus.conftest import URL, Handler, bus, kinds, running, server, settings, settled, submitted, until

__all__ = ["bus", "server", "settings"]


@pytest.fixture
async def client(bus: Bus, settings: CommonSettings) -> AsyncIterator[Client]:
    """Any NATS client, beside a log that is provisioned."""
    assert await bus.provisioned() == []
    client = await nats.connect(settings.nats_url)
    yield client
    await client.close()


async def asked(client: Client, what: str, **body: object) -> dict[str, object]:
    """One request of JetStream's API, as the command makes it."""
    answer: dict[str, object] = json.loads((await client.request(f"$JS.API.{what}", json.dumps(body).encode())).data)
    assert "error" not in answer, answer
    return answer


async def test_events_are_heard_as_they_happen(client: Client, settings: CommonSettings) -> None:
    """`nats sub 'live.>'` and `nats pub repo.submitted …`."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hear(msg: Msg) -> None:
        heard.put_nowait(msg.subject)

    await client.subscribe("live.>", cb=hear)
    await client.publish("repo.submitted", json.dumps({"repo_url": URL}).encode())
    async with running(settings, Handler()), asyncio.timeout(10):
        assert [await heard.get(), await heard.get()] == ["live.repo.submitted", "live.repo.analyzed"]


async def test_a_run_is_read_from_the_stream(client: Client, bus: Bus, settings: CommonSettings) -> None:
    """`nats stream view --subject`, `nats stream get --last-for`, `nats stream subjects`, `nats consumer info`."""
    async with running(settings, Handler()):
        run_id = await submitted(bus)
        await until(bus, run_id, "repo.analyzed")
        await settled(bus)
    config = {"ack_policy": "none", "deliver_policy": "all", "filter_subject": f"*.*.{run_id}.*"}
    made = await asked(client, "CONSUMER.CREATE.EVENTS", stream_name="EVENTS", config=config)
    following = f"$JS.API.CONSUMER.MSG.NEXT.EVENTS.{made['name']}"
    found = [await client.request(following, b"1", timeout=5, old_style=True) for _ in range(2)]
    assert [json.loads(msg.data)["run_id"] for msg in found] == [run_id, run_id]
    last = await asked(client, "STREAM.MSG.GET.EVENTS", last_by_subj=f"repo.analyzed.{run_id}.1")
    message = last["message"]
    assert isinstance(message, dict)
    assert json.loads(base64.b64decode(message["data"]))["analysis"]["framework"] == "flask"
    subjects = await asked(client, "STREAM.INFO.EVENTS", subjects_filter="repo.analyzed.*.*")
    assert f"repo.analyzed.{run_id}.1" in json.dumps(subjects["state"])
    assert (await asked(client, "CONSUMER.INFO.EVENTS.analyzer"))["num_pending"] == 0


async def test_a_run_is_retried_and_its_dead_letter_read(client: Client, bus: Bus, settings: CommonSettings) -> None:
    """`nats stream get DLQ --last-for …`, then `nats pub` with the guards and the event's name in the envelope."""
    async with running(settings, Handler([Reject("the token is revoked")])):
        run_id = await submitted(bus)
        await until(bus, run_id, "run.failed")
        await settled(bus)
    letter = (await asked(client, "STREAM.MSG.GET.DLQ", last_by_subj="dlq.analyzer.1"))["message"]
    assert isinstance(letter, dict)
    assert "greenrun-reason: the token is revoked" in base64.b64decode(letter["hdrs"]).decode()
    subject = f"repo.submitted.{run_id}.2"
    body = {**json.loads(base64.b64decode(letter["data"])), "attempt": 2}
    named = {"ce-id": subject, "ce-type": "repo.submitted", "ce-source": "greenrun/nats", "ce-by": "ada"}
    guards = {"Nats-Expected-Last-Subject-Sequence": "0", "Nats-Msg-Id": subject}
    await client.publish(subject, json.dumps(body).encode(), headers={**guards, **named})
    async with running(settings, Handler()):
        records = await until(bus, run_id, "repo.analyzed")
    assert kinds(records) == ["repo.submitted", "run.failed", "repo.submitted", "repo.analyzed"]
    assert (records[2].by, records[2].source) == ("ada", "nats")
