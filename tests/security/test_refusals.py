"""What a NATS user may not do, tried against a real server: each attempt is refused, and the server says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from nats.aio.client import Client

from greenrun.archive import archive
from shared import topology
from shared.bus import Bus, Undecodable, decode
from shared.events import EVENT_TYPES, RunFailed
from shared.permissions import (
    ARCHIVIST,
    BLOBS_STREAM,
    LEASES_STREAM,
    OPERATOR,
    PROVISIONER,
    RETRIES,
    SERVICES,
    USERS,
    inbox,
)
from shared.retry import RETRYABLE
from shared.topology import ADVISORIES_STREAM, DLQ_STREAM, EVENTS_STREAM, INTAKE_CONSUMER, TOPOLOGY
from tests.security.conftest import Guarded

pytestmark = pytest.mark.asyncio(loop_scope="module")
STREAMS = (EVENTS_STREAM, DLQ_STREAM, ADVISORIES_STREAM, BLOBS_STREAM, LEASES_STREAM)
OWN = {row.service: {event.type for event in row.publishes} for row in TOPOLOGY} | {PROVISIONER: set()}
OWN |= {user: OWN[user] | set(RETRYABLE) for user in RETRIES}
CONSUMERS = {row.service: {row.service} for row in TOPOLOGY} | {"analyzer": {"analyzer", INTAKE_CONSUMER}}


def foreign_consumers(user: str) -> list[str]:
    """The consumers of all others."""
    durables = [config["durable_name"] for config in topology.consumers(ack_wait=1)]
    return [name for name in durables if name not in CONSUMERS.get(user, set())]


def forbidden(user: str) -> Iterator[str]:
    """What a service or the provisioner could do harm with: every subject is one that the server itself serves."""
    yield from (f"{name}.01RUN.1" for name in EVENT_TYPES if name not in OWN[user])
    yield "repo.submitted"
    yield from harmful(user)
    for other in foreign_consumers(user):
        yield f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{other}"
        yield f"$JS.ACK.{EVENTS_STREAM}.{other}.1.1.1.1.0"
    yield from (f"dlq.{other}.1" for other in SERVICES if other != user)
    yield from (f"{inbox(other)}.anything" for other in USERS if other != user)
    yield from ("$SYS.REQ.SERVER.PING", "live.repo.analyzed")
    yield from (f"$JS.API.STREAM.MSG.GET.{DLQ_STREAM}", "dlq.analyzer.1.settled") if user not in RETRIES else ()


def harmful(_user: str) -> Iterator[str]:
    """What destroys the log or what stands beside it; nobody may, the operator included."""
    for stream in STREAMS:
        yield from (f"$JS.API.STREAM.{verb}.{stream}" for verb in ("DELETE", "PURGE", "SNAPSHOT"))
    yield from (f"$JS.API.STREAM.MSG.DELETE.{stream}" for stream in STREAMS if stream != LEASES_STREAM)
    yield from ("$JS.API.STREAM.CREATE.OTHER", f"$JS.API.STREAM.RESTORE.{EVENTS_STREAM}")
    for durable in foreign_consumers(OPERATOR):
        yield f"$JS.API.CONSUMER.DELETE.{EVENTS_STREAM}.{durable}"
    yield f"$JS.API.CONSUMER.CREATE.{BLOBS_STREAM}"


async def refused(server: Guarded, client: Client, verb: str, subjects: list[str]) -> list[str]:
    """Those of the subjects that the server did not refuse."""
    server.heard.clear()
    for subject in subjects:
        if verb == "publish":
            await client.publish(subject, b"{}")
        else:
            await client.subscribe(subject)
    word = "publish" if verb == "publish" else "subscription"
    left = set(subjects)
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            # A flush of nats-py may overtake what was published before it.
            while left:
                await client.flush()
                left = {subject for subject in left if not _said(server, word, subject)}
    return sorted(left)


def _said(server: Guarded, word: str, subject: str) -> bool:
    return any(f'{word} to "{subject.lower()}"' in said.lower() for said in server.heard)


@pytest.mark.parametrize("user", [*SERVICES, PROVISIONER])
async def test_a_user_can_do_nothing_that_is_a_neighbours(nats_server: Guarded, user: str) -> None:
    """Publish its types, take or end its deliveries, write its dead letters, answer in its inbox, destroy the log."""
    async with nats_server.client(user) as client:
        assert await refused(nats_server, client, "publish", list(forbidden(user))) == []


@pytest.mark.parametrize("user", [*SERVICES, PROVISIONER])
async def test_a_user_can_hear_nothing_that_is_not_for_it(nats_server: Guarded, user: str) -> None:
    """Neither another's inbox, nor events as they are stored, nor everything at once."""
    subjects = [">", "*.*.*.*", "$JS.ACK.>", "$JS.API.>", "dlq.>", "$KV.>", "$O.>", "_INBOX.>", "live.>"]
    subjects += [f"{inbox(other)}.>" for other in USERS if other != user]
    async with nats_server.client(user) as client:
        assert await refused(nats_server, client, "subscribe", subjects) == []
    assert nats_server.refusals()


async def test_not_even_the_operator_can_destroy_the_log(nats_server: Guarded) -> None:
    """The operator publishes any event and reads everything, and can delete nothing."""
    async with nats_server.client(OPERATOR) as client:
        assert await refused(nats_server, client, "publish", list(harmful(OPERATOR))) == []
        info = await client.request(f"$JS.API.STREAM.INFO.{EVENTS_STREAM}", b"")
    assert json.loads(info.data)["config"]["deny_delete"] is True


async def test_the_archivist_copies_the_log_and_can_do_nothing_else(nats_server: Guarded, tmp_path: Path) -> None:
    """It reads all streams at once, which nobody else may; it publishes nothing and takes nobody's deliveries."""
    async with Bus.connect(nats_server.settings(ARCHIVIST), ARCHIVIST) as bus:
        kept = await archive(bus, tmp_path / "log.zip")
    assert {one.name for one in kept} == set(STREAMS) - {LEASES_STREAM}
    subjects = [*(f"{name}.01RUN.1" for name in EVENT_TYPES), "repo.submitted", "dlq.analyzer.1"]
    subjects += [f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{name}" for name in foreign_consumers(ARCHIVIST)]
    subjects += [f"$JS.API.STREAM.{verb}.{EVENTS_STREAM}" for verb in ("DELETE", "PURGE", "UPDATE")]
    async with nats_server.client(ARCHIVIST) as client:
        assert await refused(nats_server, client, "publish", subjects) == []


async def test_an_answer_that_was_sent_to_a_neighbours_subject_is_not_believed(nats_server: Guarded) -> None:
    """NATS lets whoever asks name any subject for the answer: a real event, stored as another one, is no event."""
    event = RunFailed(run_id="01REDIRECTED", attempt=1, phase="healer", reason="nothing", evidence="")
    async with nats_server.client(OPERATOR) as client:
        # Within two minutes the message id keeps a copy out; this is an event that is older.
        body = event.model_dump_json().encode()
        await client.jetstream().publish(event.subject, body, headers={"ce-id": event.subject})
    copied = f"{event.type}.{event.run_id}.2"
    async with nats_server.client("retriever") as client:
        asked = f"$JS.API.DIRECT.GET.{EVENTS_STREAM}.{event.subject}"
        await client.publish(asked, b"", reply=copied)
        await client.publish(asked, b"", reply=f"pipeline.passed.{event.run_id}.1")
        await client.flush()
    async with Bus.connect(nats_server.settings(OPERATOR), OPERATOR) as bus, asyncio.timeout(5):
        while await bus._last(EVENTS_STREAM, copied) is None:
            pass
        raw = await bus._last(EVENTS_STREAM, copied)
        assert raw is not None
        fitting = (raw.data or b"").replace(b'"attempt":1', b'"attempt":2')
        with pytest.raises(Undecodable, match="its envelope"):
            decode(copied, fitting, raw.headers)
        assert [recorded.event for recorded in await bus.history(event.run_id)] == [event]


async def test_without_a_user_there_is_nothing(nats_server: Guarded) -> None:
    """A connection that shows no password does not come about."""
    client = Client()
    with pytest.raises(Exception, match="Authorization Violation"):
        await client.connect(nats_server.url, allow_reconnect=False, error_cb=_silent)
    await client.close()
    await asyncio.sleep(0)


async def _silent(_error: Exception) -> None:
    """The error is raised all the same."""
