"""Leases: one holder at a time, in one process and across several, and what happens when a holder dies."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import cycle

import pytest

from shared.bus import Bus
from shared.errors import Retry
from shared.leases import LocalLeases
from shared.ports import Leases
from shared.settings import CommonSettings
from tests.bus.conftest import Server

HOLDER = """
import asyncio, sys
from shared.bus import Bus
from shared.settings import CommonSettings

async def hold():
    async with Bus.connect(CommonSettings(nats_url=sys.argv[1]), "holder") as bus, bus.lease("image", 1.0):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


@pytest.fixture(params=["one process", "one connection", "three connections"])
async def each(request: pytest.FixtureRequest, bus: Bus, settings: CommonSettings) -> AsyncIterator[list[Leases]]:
    """What the holders of a test use: all the same, or one connection to NATS each."""
    if request.param == "one process":
        yield [LocalLeases()]
        return
    if request.param == "one connection":
        yield [bus]
        return
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Bus.connect(settings, f"r{n}")) for n in range(3)]


async def test_one_holds_a_key_at_a_time_and_all_get_it(each: list[Leases]) -> None:
    """Nine want the same key and one another: never two hold the same, and an error frees it like success."""
    holding = most = served = 0

    async def work(leases: Leases) -> None:
        nonlocal holding, most, served
        async with leases.lease("image"):
            holding += 1
            most = max(most, holding)
            await asyncio.sleep(0.01)
            holding -= 1
            served += 1
            raise LookupError

    async with each[0].lease("another"):
        workers = [work(leases) for _, leases in zip(range(9), cycle(each), strict=False)]
        done = await asyncio.wait_for(asyncio.gather(*workers, return_exceptions=True), 20)
    assert {type(one) for one in done} == {LookupError}
    assert (most, served) == (1, 9)


async def test_a_lease_outlives_its_time_while_it_is_held(bus: Bus, settings: CommonSettings) -> None:
    """Work that takes longer than the lease keeps it: nobody else comes in between."""
    async with Bus.connect(settings, "other") as other:
        async with bus.lease("image", 1.0):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2.5), other.lease("image"):
                    pass
        async with asyncio.timeout(2), other.lease("image"):
            pass


async def test_a_holder_that_dies_frees_the_key_by_expiry(server: Server, bus: Bus) -> None:
    """An end by SIGKILL gives nothing up; after the lease's time the next one has it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, server.url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"held\n"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), bus.lease("image"):
                pass
        process.kill()
        async with asyncio.timeout(10), bus.lease("image"):
            pass
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_without_nats_there_is_no_lease_but_what_is_held_goes_on(server: Server, bus: Bus) -> None:
    """Who holds one finishes its work; who wants one is told to come again."""
    async with bus.lease("image", 1.0):
        await server.stop()
        with pytest.raises(Retry, match="NATS"):
            async with bus.lease("another"):
                pass
    await server.start()
    async with asyncio.timeout(20):
        while True:
            with suppress(Retry):
                async with bus.lease("another"):
                    break
