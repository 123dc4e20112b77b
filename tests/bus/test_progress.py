"""How far a copy is, as whoever listens hears it."""

from __future__ import annotations

import asyncio
import json

from shared.bus import Bus
from shared.progress import copying


async def test_bytes_of_a_copy_are_live_messages_once_a_second(bus: Bus) -> None:
    """On `live.progress.<run>`, with the image; what comes within the same second is left out."""
    now = [0.0]
    heard = await bus._client.subscribe("live.progress.R1")
    tell = copying(bus, "R1", "nexus:1/ruby:3", lambda: now[0])
    for second, copied in ((0.5, 1), (1.0, 2), (1.5, 3), (2.0, 4)):
        now[0] = second
        await tell(copied)
    said = [json.loads((await asyncio.wait_for(heard.next_msg(), 5)).data) for _ in range(2)]
    assert said == [{"run_id": "R1", "phase": "seeder", "image": "nexus:1/ruby:3", "bytes": n} for n in (2, 4)]
    assert heard.pending_msgs == 0
    await copying(None, "R1", "nexus:1/ruby:3")(5)
