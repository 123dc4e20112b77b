"""A service process that kills itself at a chosen point; run by test_crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import Any

from shared.bus import Bus
from shared.events import RepoAnalyzed, RepoSubmitted
from shared.settings import CommonSettings
from tests.bus.conftest import analyzed, running


class Point(Enum):
    """Where the process dies."""

    BEFORE_EFFECT = "before the side effect"
    AFTER_EFFECT = "between side effect and publish"
    AFTER_PUBLISH = "between publish and ack"


def effect(effects: Path) -> Callable[[RepoSubmitted, None], Awaitable[RepoAnalyzed]]:
    """A handler whose side effect is idempotent on its own: a file named after the run."""

    async def handle(event: RepoSubmitted, _deps: None) -> RepoAnalyzed:
        (effects / event.run_id).touch()
        return analyzed(event)

    return handle


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _DyingBus(Bus):
    """Dies when the answer has been stored and before the delivery is acked."""

    async def publish(self, *args: Any, **options: Any) -> bool:
        """Never returns."""
        await super().publish(*args, **options)
        _die()
        return True


async def _main(url: str, effects: Path, point: Point) -> None:
    honest = effect(effects)

    async def handle(event: RepoSubmitted, deps: None) -> RepoAnalyzed:
        if point is Point.BEFORE_EFFECT:
            _die()
        answer = await honest(event, deps)
        if point is Point.AFTER_EFFECT:
            _die()
        return answer

    settings = CommonSettings(nats_url=url, ack_wait=1.0)
    if point is Point.AFTER_PUBLISH:
        async with _DyingBus.connect(settings, "dying") as bus, running(settings, handle, bus=bus):
            await asyncio.Event().wait()
    async with running(settings, handle):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]), Point(sys.argv[3])))
