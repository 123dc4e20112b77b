"""How far a model is: said to whoever listens now, and never to the log."""

from __future__ import annotations

import asyncio
import json

import nats

from shared.bus import Bus
from shared.progress import progress_of
from tests.bus.conftest import DEADLINE, Server, submitted


async def test_progress_is_heard_and_not_kept(bus: Bus, server: Server) -> None:
    """At most one message a second however fast the tokens come; the log holds none of them."""
    run_id = await submitted(bus)
    listener = await nats.connect(server.url)
    try:
        heard = await listener.subscribe(f"live.progress.{run_id}")
        await listener.flush()
        tell = progress_of(bus, run_id, "generator", "qwen3", every=0.0)
        await tell(7)
        said = json.loads((await heard.next_msg(timeout=DEADLINE)).data)
        assert said == {"run_id": run_id, "phase": "generator", "model": "qwen3", "tokens": 7}
        seldom = progress_of(bus, run_id, "generator", "qwen3")
        await asyncio.gather(*(seldom(tokens) for tokens in range(1_000)))
        await bus.tell(f"live.progress.{run_id}", {"the": "end"})
        assert json.loads((await heard.next_msg(timeout=DEADLINE)).data) == {"the": "end"}
    finally:
        await listener.close()
    assert [recorded.event.type for recorded in await bus.history(run_id)] == ["repo.submitted"]


async def test_without_a_log_nobody_is_told() -> None:
    """`greenrun generate` runs alone."""
    await progress_of(None, "run", "generator", "qwen3", every=0.0)(7)
