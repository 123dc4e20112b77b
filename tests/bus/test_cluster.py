"""A cluster of three: every stream is on as many servers as the setting says, and the log outlives one of them."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from greenrun import embedded
from shared.bus import Bus
from shared.errors import Reject, Retry
from shared.events import Submission
from shared.settings import CommonSettings

SUBMISSION = Submission(repo_url="https://gitlab.example/shop/web.git")
DEADLINE = 30.0


async def cluster(folder: Path, stack: AsyncExitStack) -> list[tuple[str, asyncio.subprocess.Process]]:
    """Three servers that know each other: URL and process of each."""
    clients, routes = ([embedded.free_port() for _ in range(3)] for _ in range(2))
    known = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
    servers = []
    for number, (port, route) in enumerate(zip(clients, routes, strict=True)):
        data = folder / str(number)
        data.mkdir()
        argv = [embedded.program("nats-server"), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(data)]
        argv += ["-n", f"n{number}", "--cluster_name", "c", "--cluster", f"nats://127.0.0.1:{route}", "--routes", known]
        process = await stack.enter_async_context(embedded.server(f"n{number}", argv, port=port, log=data / "log"))
        servers.append((f"nats://127.0.0.1:{port}", process))
    return servers


async def provisioned(bus: Bus) -> None:
    """Provision as soon as the servers have found each other."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await bus.provision()
                break
            except (Reject, Retry):
                await asyncio.sleep(0.1)


async def test_the_log_outlives_a_server(tmp_path: Path) -> None:
    """With NATS_REPLICAS=3 a run is still told after the server that leads its stream has gone."""
    async with AsyncExitStack() as stack:
        servers = await cluster(tmp_path, stack)
        settings = CommonSettings(nats_url=",".join(url for url, _ in servers), nats_replicas=3)
        bus = await stack.enter_async_context(Bus.connect(settings, "test"))
        await provisioned(bus)
        event = await bus.submit(SUBMISSION, "test")
        leader = json.loads(await bus._request("$JS.API.STREAM.INFO.EVENTS", b""))["cluster"]["leader"]
        _, process = servers[int(leader.removeprefix("n"))]
        process.terminate()
        await process.wait()
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    recorded = await bus.history(event.run_id)
                    break
                except Retry:
                    await asyncio.sleep(0.1)
        assert [one.event.run_id for one in recorded] == [event.run_id]


async def test_one_server_cannot_keep_three_copies(settings: CommonSettings) -> None:
    """It is refused in NATS's words, and nothing is made with fewer."""
    async with Bus.connect(settings.model_copy(update={"nats_replicas": 3}), "test") as bus:
        with pytest.raises(Reject, match="replicas > 1 not supported in non-clustered mode"):
            await bus.provision()
