"""How far something long is, a model's answer or a copy: a live message on `live.progress.<run>`, in no stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shared.logging import logger
from shared.ports import unheard

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.bus import Bus
    from shared.ports import Progress

# A copy tells every second; what comes a little early is not left out.
EVERY_SECONDS = 0.9
LOGGED_SECONDS = 5.0
SUBJECT = "live.progress"
log = logger("progress")


def progress_of(bus: Bus | None, run_id: str, phase: str, model: str) -> Progress:
    """What a model tells its tokens to: at most one message a second, and a line of the log; silent without a bus."""
    if bus is None:
        return unheard
    last = time.monotonic()

    async def tell(tokens: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < EVERY_SECONDS:
            return
        last = now
        log.info("the model writes", model=model, tokens=tokens)
        said = {"run_id": run_id, "phase": phase, "model": model, "tokens": tokens}
        await bus.tell(f"{SUBJECT}.{run_id}", said)

    return tell


def copying(bus: Bus | None, run_id: str, image: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """What a copy tells its bytes to: at most one message a second, and a line of the log every five."""
    began = clock()
    told = logged = began

    async def tell(copied: int) -> None:
        nonlocal told, logged
        now = clock()
        if now - logged >= LOGGED_SECONDS:
            logged = now
            log.info("copying", image=image, bytes=copied, seconds=round(now - began, 1))
        if bus is not None and now - told >= EVERY_SECONDS:
            told = now
            said = {"run_id": run_id, "phase": "seeder", "image": image, "bytes": copied}
            await bus.tell(f"{SUBJECT}.{run_id}", said)

    return tell
