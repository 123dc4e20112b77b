"""How far a model's answer is, while it is written: a live message on `live.progress.<run>`, which is in no stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shared.logging import logger
from shared.ports import unheard

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.ports import Progress

EVERY_SECONDS = 1.0
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
