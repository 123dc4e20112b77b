"""The end of tasks that would go on for ever."""

from __future__ import annotations

import asyncio
from typing import Any

CANCEL_SECONDS = 0.2


async def over(*tasks: asyncio.Task[Any]) -> None:
    """Return when the tasks are over. Python 3.11's `wait_for` may swallow a cancellation: said until it is heard."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_SECONDS)
