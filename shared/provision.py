"""Make the streams, consumers and the bucket what the topology says; the services never do this themselves.

Speaks JetStream's JSON API through one request function, so that the configuration stays data (`shared.topology`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared import topology
from shared.errors import Reject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Request = Callable[[str, bytes], Awaitable[bytes]]

STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014


async def apply(request: Request, *, ack_wait: float, replicas: int = 1) -> None:
    """Create what is missing and update what changed; `ack_wait` in seconds. Reject where the server refuses.

    `replicas` above 1 needs a cluster of at least as many servers.
    """
    for config in topology.streams(replicas=replicas):
        name = config["name"]
        exists = await _found(request, f"STREAM.INFO.{name}", STREAM_NOT_FOUND)
        await _ask(request, f"STREAM.{'UPDATE' if exists else 'CREATE'}.{name}", config)
    for config in topology.consumers(ack_wait=ack_wait):
        name = config["durable_name"]
        body = {"stream_name": topology.EVENTS_STREAM, "config": config}
        await _ask(request, f"CONSUMER.DURABLE.CREATE.{topology.EVENTS_STREAM}.{name}", body)


async def missing(request: Request) -> list[str]:
    """A sentence for each stream and consumer that is not there."""
    streams = [config["name"] for config in topology.streams()]
    problems = [
        f"the stream {name} is missing"
        for name in streams
        if not await _found(request, f"STREAM.INFO.{name}", STREAM_NOT_FOUND)
    ]
    if not any(topology.EVENTS_STREAM in problem for problem in problems):
        problems += [
            f"the consumer {name} is missing"
            for name in (config["durable_name"] for config in topology.consumers(ack_wait=1))
            if not await _found(request, f"CONSUMER.INFO.{topology.EVENTS_STREAM}.{name}", CONSUMER_NOT_FOUND)
        ]
    return problems


async def _found(request: Request, what: str, not_found: int) -> bool:
    answer = json.loads(await request(f"$JS.API.{what}", b""))
    error = answer.get("error")
    if error and error.get("err_code") != not_found:
        raise Reject(f"NATS refuses {what}: {error.get('description')}")
    return not error


async def _ask(request: Request, what: str, body: dict[str, Any]) -> None:
    answer = json.loads(await request(f"$JS.API.{what}", json.dumps(body).encode()))
    if "error" in answer:
        raise Reject(f"NATS refuses {what}: {answer['error'].get('description')}")
