"""Make the streams, consumers and the bucket what the topology says; the services never do this themselves.

`python -m shared.provision` does it and ends: before the services start, and again where a new version wants more.
Speaks JetStream's JSON API through one request function, so that the configuration stays data (`shared.topology`).
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from shared import logging, topology
from shared.errors import GreenrunError, Reject, Retry
from shared.settings import CommonSettings, wrong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Request = Callable[[str, bytes], Awaitable[bytes]]

STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
UNAVAILABLE = 503
NO_PEERS_YET = 10005
PAUSE_SECONDS = 0.5


async def apply(request: Request, *, ack_wait: float, replicas: int = 1) -> list[str]:
    """Create what is missing and update what changed; what was done, each as a few words, empty where all was there.

    `ack_wait` in seconds; `replicas` above 1 needs a cluster of at least as many servers. Raises Reject where the
    server refuses, Retry where JetStream is not ready yet.
    """
    stream, consumer = f"{topology.EVENTS_STREAM}.", "CONSUMER.DURABLE.CREATE"
    done = []
    for config in topology.streams(replicas=replicas):
        name = config["name"]
        there = await _config(request, f"STREAM.INFO.{name}", STREAM_NOT_FOUND)
        if said := _told("stream", name, there, config):
            done.append(said)
            await _ask(request, f"STREAM.{'CREATE' if there is None else 'UPDATE'}.{name}", config)
    for config in topology.consumers(ack_wait=ack_wait):
        name = config["durable_name"]
        there = await _config(request, f"CONSUMER.INFO.{stream}{name}", CONSUMER_NOT_FOUND)
        if said := _told("consumer", name, there, config):
            done.append(said)
            body = {"stream_name": topology.EVENTS_STREAM, "config": config}
            await _ask(request, f"{consumer}.{stream}{name}", body)
    return done


def _told(kind: str, name: str, there: dict[str, Any] | None, wanted: dict[str, Any]) -> str | None:
    """What must be done to a stream or consumer; None where it is already as wanted."""
    if there is None:
        return f"made the {kind} {name}"
    # The server leaves out what is false or nothing; what it adds of its own is not ours to judge.
    changed = [key for key, value in wanted.items() if (there.get(key) or None) != (value or None)]
    return f"changed {', '.join(changed)} of the {kind} {name}" if changed else None


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
    return await _config(request, what, not_found) is not None


async def _config(request: Request, what: str, not_found: int) -> dict[str, Any] | None:
    """The configuration of a stream or consumer; None where it is not there."""
    answer = json.loads(await request(f"$JS.API.{what}", b""))
    error = answer.get("error")
    if error and error.get("err_code") == not_found:
        return None
    _check(what, error)
    config: dict[str, Any] = answer["config"]
    return config


async def _ask(request: Request, what: str, body: dict[str, Any]) -> None:
    answer = json.loads(await request(f"$JS.API.{what}", json.dumps(body).encode()))
    _check(what, answer.get("error"))


def _check(what: str, error: dict[str, Any] | None) -> None:
    """Reject what the server refuses; Retry where it only cannot yet, as while a cluster comes together."""
    if error:
        said = f"NATS refuses {what}: {error.get('description')}"
        waiting = error.get("code") == UNAVAILABLE or error.get("err_code") == NO_PEERS_YET
        raise Retry(said) if waiting else Reject(said)


class Settings(CommonSettings):
    """The provisioner's own."""

    provision_timeout: float = Field(120.0, gt=0, description="seconds that the provisioner waits for NATS")


def main() -> None:
    """Wait for NATS, make everything, say what was made; exit code 1 with a sentence where that cannot be."""
    try:
        settings = Settings()
        logging.configure(settings)
        done = asyncio.run(_provision(settings))
    except ValidationError as error:
        sys.exit(f"provisioner: {wrong(error)}")
    except GreenrunError as error:
        sys.exit(f"provisioner: {error}")
    sys.stdout.write("".join(f"{line}\n" for line in done) or "everything was there already\n")


async def _provision(settings: Settings) -> list[str]:
    """What was made or changed, once NATS and its JetStream are ready."""
    from shared.bus import Bus  # noqa: PLC0415 - the bus provisions through this module

    last: Retry | None = None
    try:
        async with asyncio.timeout(settings.provision_timeout), Bus.connect(settings, "provisioner") as bus:
            while True:
                try:
                    return await bus.provision()
                except Retry as error:
                    last = error
                    await asyncio.sleep(PAUSE_SECONDS)
    except TimeoutError as error:
        why = f"JetStream: {last}" if last else "the lines above say why"
        raise Retry(f"NATS at {settings.nats_url} was not ready in {settings.provision_timeout:g} s; {why}") from error


if __name__ == "__main__":
    main()
