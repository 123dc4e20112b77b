"""How far something long is, a model's answer or a copy: a live message on `live.progress.<run>`, in no stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from shared.logging import logger
from shared.ports import unheard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.bus import Bus
    from shared.ports import Progress

# What tells every second may come a little early.
EVERY_SECONDS = 0.9
LOGGED_SECONDS = 5.0
SUBJECT = "live.progress"
log = logger("progress")


def progress_of(
    bus: Bus | None, run_id: str, phase: str, model: str, clock: Callable[[], float] = time.monotonic
) -> Progress:
    """What a model tells its tokens to; silent without a bus, where nobody looks at the lines of a log either."""
    about = {"phase": phase, "model": model}
    return unheard if bus is None else _telling(bus, run_id, about, "tokens", clock)


def copying(bus: Bus | None, run_id: str, image: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """What a copy tells its bytes to."""
    return _telling(bus, run_id, {"phase": "seeder", "image": image}, "bytes", clock)


def _telling(bus: Bus | None, run_id: str, about: Mapping[str, Any], unit: str, clock: Callable[[], float]) -> Progress:
    """At most one message a second for whoever listens, and a line of the log every five."""
    began = clock()
    told = logged = began

    async def tell(amount: int) -> None:
        nonlocal told, logged
        now = clock()
        if now - logged >= LOGGED_SECONDS:
            logged = now
            log.info("under way", **about, **{unit: amount}, seconds=round(now - began, 1))
        if bus is not None and now - told >= EVERY_SECONDS:
            told = now
            await bus.tell(f"{SUBJECT}.{run_id}", {"run_id": run_id, **about, unit: amount})

    return tell
