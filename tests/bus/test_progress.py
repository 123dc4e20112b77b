"""How far a model or a copy is: said to whoever listens now, and never to the log."""

from __future__ import annotations

import asyncio
import json

from shared.bus import Bus
from shared.progress import copying, progress_of
from tests.bus.conftest import submitted


async def test_progress_is_heard_once_a_second_and_not_kept(bus: Bus) -> None:
    """On `live.progress.<run>`: tokens of a model, bytes of a copy; what comes within the same second is left out."""
    now = [0.0]
    run_id = await submitted(bus)
    heard = await bus._client.subscribe(f"live.progress.{run_id}")
    model = progress_of(bus, run_id, "generator", "qwen3", lambda: now[0])
    copy = copying(bus, run_id, "nexus:1/ruby:3", lambda: now[0])
    for second, amount in ((0.5, 1), (1.0, 2), (1.5, 3), (2.0, 4)):
        now[0] = second
        await model(amount)
        await copy(amount)
    said = [json.loads((await asyncio.wait_for(heard.next_msg(), 5)).data) for _ in range(4)]
    models = [{"run_id": run_id, "phase": "generator", "model": "qwen3", "tokens": n} for n in (2, 4)]
    copies = [{"run_id": run_id, "phase": "seeder", "image": "nexus:1/ruby:3", "bytes": n} for n in (2, 4)]
    assert said == [models[0], copies[0], models[1], copies[1]]
    assert heard.pending_msgs == 0
    assert [recorded.event.type for recorded in await bus.history(run_id)] == ["repo.submitted"]


async def test_without_a_log_nobody_is_told() -> None:
    """`greenrun generate` and `greenrun images` run alone."""
    await progress_of(None, "run", "generator", "qwen3")(7)
    await copying(None, "run", "nexus:1/ruby:3")(7)
