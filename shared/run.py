"""The entry point of every service: settings, log, connections, and a graceful end."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from shared import logging, topology
from shared.bus import Bus
from shared.delivery import Deliveries
from shared.errors import GreenrunError
from shared.pulse import beating
from shared.settings import wrong

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shared.errors import NotAdmitted
    from shared.service import Service
    from shared.settings import CommonSettings

log = logging.logger("run")


def main(service: Service[Any, Any]) -> None:
    """Run one service as its own process until SIGTERM or SIGINT; exit code 1 where it cannot start."""
    try:
        settings = service.settings()
    except ValidationError as error:
        sys.exit(f"{service.name}: {wrong(error)}")
    except GreenrunError as error:
        sys.exit(f"{service.name}: {error}")
    logging.configure(settings)
    try:
        asyncio.run(_until_signal(service, settings))
    except GreenrunError as error:
        sys.exit(f"{service.name}: {error}")


async def serve(
    service: Service[Any, Any],
    settings: CommonSettings,
    *,
    stop: asyncio.Event,
    deps: Any = None,
    bus: Bus | None = None,
    health: Path | None = None,
) -> None:
    """Handle the service's deliveries until `stop`, then finish what is in hand; `deps` and `bus` replace its own.

    Raises NotAdmitted where NATS lets the service in no more: started again, it reads its secrets anew.
    `health` is the file in which it says how it is: one service of a process can have it.
    """
    async with AsyncExitStack() as stack:
        pulse = await stack.enter_async_context(beating(health, service.name, settings.health_grace))
        if bus is None:
            bus = await stack.enter_async_context(Bus.connect(settings, service.name))
        if deps is None:
            deps = await stack.enter_async_context(service.connect(settings, bus))
        deliveries = Deliveries(bus, service, settings, deps)
        if pulse is not None:
            pulse.bus = bus
        log.info("ready", service=service.name)
        async with _while_admitted(bus, stop), asyncio.TaskGroup() as group:
            group.create_task(stop.wait())
            if service.handlers:
                handle, back = deliveries.handle, service.gives_back
                group.create_task(_consume(bus, service.name, handle, settings, stop, gives_back=back))
            if topology.node(service.name).reads is topology.INTAKE_TYPE:
                group.create_task(_consume(bus, topology.INTAKE_CONSUMER, deliveries.adopt, settings, stop))
    log.info("stopped", service=service.name)


@asynccontextmanager
async def _while_admitted(bus: Bus, stop: asyncio.Event) -> AsyncIterator[None]:
    """Set `stop` where the server ends the service's welcome, and raise why once everything has stopped."""

    async def watch() -> NotAdmitted:
        reason = await bus.shut_out()
        stop.set()
        return reason

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        if not watching.done():
            watching.cancel()
        await asyncio.wait({watching})
    if not watching.cancelled():
        raise watching.result()


async def _consume(
    bus: Bus, durable: str, handle: Any, settings: CommonSettings, stop: asyncio.Event, *, gives_back: bool = False
) -> None:
    await bus.consume(durable, handle, concurrency=settings.concurrency, stop=stop, gives_back=gives_back)


async def _until_signal(service: Service[Any, Any], settings: CommonSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(service, settings, stop=stop, health=settings.health_file)
