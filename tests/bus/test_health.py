"""What `python -m shared.health` says of a service that runs as its own process, as the container's check does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.bus import Bus
from shared.health import problems
from tests.bus.conftest import DEADLINE, Server

GRACE = "0.8"


async def asked(health: Path, *arguments: str) -> tuple[int | None, str]:
    """Exit code and words of the check."""
    environment = os.environ | {"HEALTH_FILE": str(health)}
    command = (sys.executable, "-m", "shared.health", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def until(health: Path, words: str, *, live: bool = False) -> None:
    """Return once the check says these words, or nothing where there are none."""
    async with asyncio.timeout(DEADLINE):
        while True:
            said = " ".join(problems(str(health), live=live))
            if (words in said) if words else not said:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def monitor(server: Server, health: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The monitor as its own process."""
    environment = os.environ | {"NATS_URL": server.url, "HEALTH_FILE": str(health), "HEALTH_GRACE": GRACE}
    command = (sys.executable, "-m", "services.monitor")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE)


@pytest.fixture
def health(tmp_path: Path) -> Path:
    """Where the service says how it is."""
    return tmp_path / "health.json"


async def test_a_service_is_well_while_it_has_nothing_to_do(server: Server, bus: Bus, health: Path) -> None:
    """Exit code 0 and no word, for longer than the grace; at the end the file goes with the service."""
    assert not await bus.provisioned()
    code, said = await asked(health)
    assert (code, "has not started" in said) == (1, True)
    async with monitor(server, health) as process:
        await until(health, "")
        first = health.stat().st_mtime
        while health.stat().st_mtime < first + 1.5 * float(GRACE):
            assert problems(str(health)) == []
            await asyncio.sleep(0.1)
        assert await asked(health) == (0, "")
        process.terminate()
        assert await process.wait() == 0
    assert list(health.parent.glob("health*")) == []


async def test_an_outage_of_nats_is_told_after_the_grace_and_is_over_when_it_is(
    server: Server, bus: Bus, health: Path
) -> None:
    """It says that NATS is away; a restart would not help, so the check for that says nothing."""
    assert not await bus.provisioned()
    async with monitor(server, health):
        await until(health, "")
        await server.stop()
        await until(health, "NATS has been out of reach")
        code, said = await asked(health)
        assert (code, said.startswith("NATS has been out of reach for")) == (1, True)
        assert await asked(health, "--live") == (0, "")
        await server.start()
        await until(health, "")


async def test_a_service_that_waits_for_nats_is_starting(server: Server, health: Path) -> None:
    """It runs, and is not well before it has reached NATS."""
    await server.stop()
    async with monitor(server, health) as process:
        await until(health, "monitor is starting")
        assert problems(str(health), live=True) == []
        process.kill()
        await process.wait()
    await server.start()


async def test_a_hanging_loop_is_told(server: Server, bus: Bus, health: Path) -> None:
    """A process that does not turn says nothing, and its file grows old: both checks fail until it goes on."""
    assert not await bus.provisioned()
    async with monitor(server, health) as process:
        await until(health, "")
        process.send_signal(signal.SIGSTOP)
        await until(health, "its event loop hangs", live=True)
        code, said = await asked(health)
        assert (code, said.startswith("monitor has said nothing for")) == (1, True)
        process.send_signal(signal.SIGCONT)
        await until(health, "")


async def test_a_consumer_that_is_gone_is_told(server: Server, bus: Bus, health: Path) -> None:
    """NATS is there, and still no delivery can come; provisioning heals it without a restart."""
    assert not await bus.provisioned()
    async with monitor(server, health):
        await until(health, "")
        await bus._js.delete_consumer("EVENTS", "monitor")
        await until(health, "the consumer monitor has not answered")
        await bus.provision()
        await until(health, "")


def test_words_that_cannot_be_read_are_no_sign_of_life(health: Path) -> None:
    """A file that somebody else wrote, or one that is old."""
    health.write_text("what")
    assert "cannot be read" in problems(str(health))[0]
    health.write_text(json.dumps({"service": "healer", "grace": 5, "problems": []}))
    assert problems(str(health)) == []
    past = time.time() - 6
    os.utime(health, (past, past))
    assert problems(str(health))[0].startswith("healer has said nothing for 6 s, more than 5 s")


async def test_a_file_that_cannot_be_written_ends_the_service(server: Server, tmp_path: Path) -> None:
    """Whoever asks for signs of life and cannot get any is told at once."""
    missing = tmp_path / "none" / "health.json"
    environment = os.environ | {"NATS_URL": server.url, "HEALTH_FILE": str(missing)}
    command = (sys.executable, "-m", "services.monitor")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 1
    assert f"HEALTH_FILE {missing} cannot be written: No such file or directory" in said.decode()
