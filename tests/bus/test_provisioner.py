"""`python -m shared.provision`, which runs before the services and ends."""

from __future__ import annotations

import asyncio
import os
import sys

from greenrun import embedded
from shared.topology import TOPOLOGY
from tests.bus.conftest import Server


async def provisioner(**environment: str) -> tuple[int | None, str, str]:
    """Exit code, what it made, and its log."""
    command = (sys.executable, "-m", "shared.provision")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=os.environ | environment)
    made, said = await process.communicate()
    return process.returncode, made.decode(), said.decode()


async def test_it_says_what_it_made_and_what_it_changed(server: Server) -> None:
    """All on the first run, nothing on the second, and then only what is wanted otherwise."""
    code, made, _ = await provisioner(NATS_URL=server.url)
    assert code == 0
    assert "made the stream EVENTS\n" in made
    assert all(f"made the consumer {row.service}\n" in made for row in TOPOLOGY if row.reads)
    assert await provisioner(NATS_URL=server.url) == (0, "everything was there already\n", "")
    code, made, _ = await provisioner(NATS_URL=server.url, ACK_WAIT="7")
    assert code == 0
    assert "changed ack_wait of the consumer seeder\n" in made
    assert "stream" not in made


async def test_it_waits_for_nats(server: Server) -> None:
    """It may be started first."""
    await server.stop()
    early = asyncio.create_task(provisioner(NATS_URL=server.url))
    await asyncio.wait({early}, timeout=0.2)
    await server.start()
    code, made, _ = await early
    assert (code, "made the stream EVENTS" in made) == (0, True)


async def test_it_gives_up_in_a_sentence(server: Server) -> None:
    """Nobody answers, the server refuses, a setting is wrong: exit code 1 and why."""
    nowhere = f"nats://127.0.0.1:{embedded.free_port()}"
    code, _, said = await provisioner(NATS_URL=nowhere, PROVISION_TIMEOUT="0.3")
    assert code == 1
    assert said.splitlines()[-1].startswith(f"provisioner: NATS at {nowhere} was not ready in 0.3 s")
    code, _, said = await provisioner(NATS_URL=server.url, NATS_REPLICAS="3")
    assert (code, "replicas > 1 not supported in non-clustered mode" in said) == (1, True)
    code, _, said = await provisioner(NATS_URL=server.url, ACK_WAIT="soon")
    assert (code, said.startswith("provisioner: wrong settings: ACK_WAIT: ")) == (1, True)
