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


def progress_of(bus: Bus | None, run_id: str, phase: str, model: str, *, every: float = EVERY_SECONDS) -> Progress:
    """What a model tells its tokens to; silent without a bus.

    At most once in `every` seconds it says so to whoever listens, and in a line of the log.
    """
    if bus is None:
        return unheard
    last = time.monotonic()

    async def tell(tokens: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < every:
            return
        last = now
        log.info("the model writes", model=model, tokens=tokens)
        said = {"run_id": run_id, "phase": phase, "model": model, "tokens": tokens}
        await bus.tell(f"{SUBJECT}.{run_id}", said)

    return tell
