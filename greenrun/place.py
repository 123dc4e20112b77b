"""Where the running system is: what `greenrun up` wrote down, else the stack of this folder, else the environment."""

from __future__ import annotations

import getpass
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenrun.exits import WrongCall
from shared.errors import Retry
from shared.events import RepoSubmitted
from shared.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus, Recorded


def who() -> str:
    """The person at this terminal, as the log names whoever had something done."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def values() -> dict[str, Any]:
    """The settings of the system that runs here (`greenrun up`, `docker compose up`); the environment goes first.

    A stack's are its folder's (`greenrun.stack`). Its operator's password is told to no other server: where NATS_URL
    is set, only the environment counts.
    """
    from greenrun import local, stack  # noqa: PLC0415 - the embedded parts are an extra

    found = local.running(local.default_home())
    if not found and not os.environ.get("NATS_URL") and stack.is_here(Path.cwd()):
        found = stack.values(Path.cwd())
    return {name: value for name, value in found.items() if not os.environ.get(name.upper())}


@asynccontextmanager
async def running_log(name: str = "cli") -> AsyncIterator[Bus]:
    """The log of the running system; Retry where nothing answers, instead of waiting for ever.

    The connection's `name` says which NATS user it is: the operator, unless it is one of the users.
    """
    from greenrun import embedded  # noqa: PLC0415 - the embedded parts are an extra

    settings = CommonSettings(**values())
    try:
        await embedded.reachable(settings.nats_url)
    except (OSError, TimeoutError) as error:
        advice = "start it with 'greenrun up' or 'docker compose up', or set NATS_URL"
        raise Retry(f"nothing answers at {settings.nats_address}; {advice}") from error
    from shared.bus import Bus  # noqa: PLC0415 - the client of NATS takes half a second to load

    async with Bus.connect(settings, name) as bus:
        yield bus


async def history_of(bus: Bus, run_id: str) -> list[Recorded]:
    """The events of a run; WrongCall where there is no such run."""
    records = await bus.history(run_id) if run_id.isalnum() else []
    if not any(isinstance(recorded.event, RepoSubmitted) for recorded in records):
        raise WrongCall(f"there is no run {run_id}; 'greenrun runs' lists them")
    return records
