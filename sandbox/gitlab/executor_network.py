"""The network of one job: its services under their names, and what listens on this machine's loopback under its own.

As a runner does it with a network for each build. A registry on 127.0.0.1 is somewhere else in a container; a relay
beside the job listens on the same port there and hands on, so that an image has one name inside and outside.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.gitlab import executor_trace as trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from sandbox.gitlab.executor_engine import Engine
    from sandbox.gitlab.executor_records import Work

RELAY = "busybox:stable"
CHUNK = 256 * 1024
SERVICE_SECONDS = 30.0  # the runner's wait_for_services_timeout
BETWEEN_TRIES = 0.1
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Network:
    """A network of the engine; `gateway` is this machine's address on it, `name` what the job joins."""

    name: str
    gateway: str
    joined: str


async def network(engine: Engine, work: Work, ports: Sequence[int], stack: AsyncExitStack) -> Network:
    """A network of the job's own, on which these ports of this machine's loopback are loopback too. EngineFailed."""
    name = f"greenrun-net-{work.ticket.id}-{os.urandom(4).hex()}"
    await engine.call("network", "create", name)
    stack.push_async_callback(engine.quietly, "network", "rm", name)
    described = json.loads(await engine.call("network", "inspect", name))[0]
    gateway = described["IPAM"]["Config"][0]["Gateway"].partition("/")[0]
    if not ports:
        return Network(name, gateway, name)
    relay = f"greenrun-relay-{work.ticket.id}-{os.urandom(4).hex()}"
    lines = [f"nc -ll -p {port} -e nc {gateway} {await _outside(gateway, port, stack)} &" for port in ports]
    stack.push_async_callback(engine.removed, relay)
    options = ["--detach", "--init", "--name", relay, "--network", name, "--entrypoint", "sh"]
    await engine.call("run", *options, RELAY, "-c", "\n".join([*lines, "wait"]))
    return Network(name, gateway, f"container:{relay}")


async def _outside(gateway: str, port: int, stack: AsyncExitStack) -> int:
    """The port on the network's gateway where containers of this network reach that port of the loopback."""

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside, back = await asyncio.open_connection(LOOPBACK, port)
            try:
                await asyncio.gather(_copied(reader, back), _copied(inside, writer))
            finally:
                back.close()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(hand_on, gateway, 0)
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything to its end, which is told to the other side."""
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


async def service(
    engine: Engine, work: Work, place: Network, image: str, details: Mapping[str, Any], stack: AsyncExitStack
) -> None:
    """A service started and, for as long as the runner does, waited for; what it said where it never answers."""
    name = f"greenrun-service-{work.ticket.id}-{os.urandom(4).hex()}"
    aliases = [word for alias in service_aliases(image, details) for word in ("--network-alias", alias)]
    variables = {**work.job.variables, **(details.get("variables") or {})}
    given = [word for key, value in variables.items() for word in ("--env", f"{key}={value}")]
    entrypoint = [str(one) for one in details.get("entrypoint") or ()]
    command = [*entrypoint[1:], *map(str, details.get("command") or ())]
    behind = ["--entrypoint", entrypoint[0]] if entrypoint else []
    stack.push_async_callback(engine.removed, name)
    options = ["--detach", "--name", name, "--network", place.name, *aliases, *given, *behind]
    await engine.call("run", *options, image, *command)
    refusal = await _unready(engine, name, place, variables.get("HEALTHCHECK_TCP_PORT"))
    if refusal:
        logs = await engine.call("logs", name)
        await work.say(trace.warning(f"Service {image} probably didn't start properly.\n\n{refusal}\n\n{logs}"))


async def _unready(engine: Engine, name: str, place: Network, port: str | None) -> str | None:
    """Why a service does not answer on the lowest port that its image exposes; None where it does, or exposes none."""
    described = json.loads(await engine.call("inspect", name))[0]
    exposed = sorted(int(one.partition("/")[0]) for one in described["Config"].get("ExposedPorts") or ())
    wanted = int(port) if port and port.isdecimal() else next(iter(exposed), None)
    address = described["NetworkSettings"]["Networks"][place.name]["IPAddress"]
    deadline = asyncio.get_running_loop().time() + SERVICE_SECONDS
    while True:
        if await engine.call("inspect", "--format", "{{.State.Running}}", name) != "true":
            return "Health check container logs: the service's container has ended"
        if wanted is None or await _answers(address, wanted):
            return None
        if asyncio.get_running_loop().time() > deadline:
            return f'Health check error: service "{name}" timeout; no answer on {address}:{wanted}'
        await asyncio.sleep(BETWEEN_TRIES)


async def _answers(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 1)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def service_aliases(image: str, details: Mapping[str, Any]) -> list[str]:
    """The names under which a service is reached: two that follow from its image's name, and its own aliases."""
    name = image.partition("@")[0]
    host, slash, path = name.partition("/")
    plain = path if slash and ("." in host or ":" in host) else name
    plain = plain.partition(":")[0]
    given = str(details.get("alias") or "").replace(",", " ").split()
    return list(dict.fromkeys([plain.replace("/", "__"), plain.replace("/", "-"), *given]))
