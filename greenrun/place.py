"""Where the running system is: what `greenrun up` on this machine wrote down, else the environment."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from shared.errors import Retry
from shared.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus


def values() -> dict[str, Any]:
    """The settings of the system that `greenrun up` runs here; a variable of the environment comes before them."""
    from greenrun import local  # noqa: PLC0415 - the embedded parts are an extra

    found = local.running(local.default_home())
    return {name: value for name, value in found.items() if not os.environ.get(name.upper())}


@asynccontextmanager
async def running_log() -> AsyncIterator[Bus]:
    """The log of the running system; Retry where nothing answers, instead of waiting for ever."""
    from greenrun import embedded  # noqa: PLC0415 - the embedded parts are an extra

    settings = CommonSettings(**values())
    try:
        await embedded.reachable(settings.nats_url)
    except (OSError, TimeoutError) as error:
        advice = "start it with 'greenrun up' or set NATS_URL"
        raise Retry(f"nothing answers at {settings.nats_address}; {advice}") from error
    from shared.bus import Bus  # noqa: PLC0415 - the client of NATS takes half a second to load

    async with Bus.connect(settings, "cli") as bus:
        yield bus
