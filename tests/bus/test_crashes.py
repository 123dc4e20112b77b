"""A service process is killed (-9) around its side effect: the effect is there, and the event exactly once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from shared.bus import Bus
from tests.bus.conftest import Server, kinds, quick, running, settled, submitted, until
from tests.bus.crashing import Point, effect

CRASHING = Path(__file__).with_name("crashing.py")


@pytest.mark.parametrize("point", list(Point))
async def test_a_killed_process_loses_and_doubles_nothing(
    bus: Bus, server: Server, tmp_path: Path, point: Point
) -> None:
    """Before the side effect, between it and the publish, between the publish and the ack."""
    effects = tmp_path / "effects"
    effects.mkdir()
    run_id = await submitted(bus)
    root = CRASHING.parents[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bus.crashing", server.url, str(effects), point.value),
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
    async with running(quick(server), effect(effects)):
        await until(bus, run_id, "repo.analyzed")
        await settled(bus)
    assert kinds(await bus.history(run_id)) == ["repo.submitted", "repo.analyzed"]
    assert [path.name for path in effects.iterdir()] == [run_id]
