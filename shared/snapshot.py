"""A stream as bytes and back, over JetStream's snapshot API; the consumers and what they acknowledged go along."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from shared.errors import Reject, Retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from nats.aio.client import Client
    from nats.aio.msg import Msg

CHUNK_BYTES = 64 * 1024
SILENCE_SECONDS = 30.0
NAME_IN_USE = 10058


@asynccontextmanager
async def taking(client: Client, stream: str) -> AsyncIterator[tuple[dict[str, Any], AsyncGenerator[bytes, None]]]:
    """The stream's configuration and state at this moment, and its bytes; Retry where the server falls silent."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=arrived.put)
    try:
        wanted = {"deliver_subject": inbox, "no_consumers": False, "jsck": True, "chunk_size": CHUNK_BYTES}
        about = await _ask(client, f"$JS.API.STREAM.SNAPSHOT.{stream}", wanted)
        yield {"config": about["config"], "state": about["state"]}, _chunks(stream, arrived)
    finally:
        await subscription.unsubscribe()


async def _chunks(stream: str, arrived: asyncio.Queue[Msg]) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            msg = await asyncio.wait_for(arrived.get(), SILENCE_SECONDS)
        except TimeoutError as error:
            raise Retry(f"NATS fell silent in the middle of the snapshot of {stream}") from error
        status = (msg.headers or {}).get("Status")
        if status and status != "204":
            raise Retry(f"the snapshot of {stream} was broken off: {status} {(msg.headers or {}).get('Description')}")
        if not msg.data:
            return
        yield msg.data
        if msg.reply:  # the server sends no further than it is told of
            await msg.respond(b"")


async def restore(client: Client, about: dict[str, Any], chunks: AsyncIterator[bytes]) -> dict[str, Any]:
    """Make the stream of these bytes; its description afterwards. Reject where it is there already."""
    name = about["config"]["name"]
    answer = await _ask(client, f"$JS.API.STREAM.RESTORE.{name}", about)
    async for chunk in chunks:
        await _send(client, answer["deliver_subject"], chunk)
    done: dict[str, Any] = json.loads(await _send(client, answer["deliver_subject"], b""))
    _refused(f"the restore of {name}", done)
    return done


async def _ask(client: Client, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await _send(client, subject, json.dumps(body).encode()))
    _refused(subject.removeprefix("$JS.API."), answer)
    return answer


async def _send(client: Client, subject: str, body: bytes) -> bytes:
    try:
        return (await client.request(subject, body, timeout=SILENCE_SECONDS)).data
    except Exception as error:
        raise Retry(f"NATS does not answer {subject}: {error or type(error).__name__}") from error


def _refused(what: str, answer: dict[str, Any]) -> None:
    if error := answer.get("error"):
        there = error.get("err_code") == NAME_IN_USE
        advice = "; restore into a server that has no such stream, as an empty NATS data folder gives" if there else ""
        raise Reject(f"NATS refuses {what}: {error.get('description')}{advice}")
