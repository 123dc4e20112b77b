"""`greenrun events`: the log itself, of one run or of all, as it was and as it goes on."""

from __future__ import annotations

import re
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from greenrun import view
from greenrun.exits import WrongCall, finish
from greenrun.follow import record_json
from greenrun.place import history_of, running_log
from shared.events import EVENT_TYPES

if TYPE_CHECKING:
    from shared.bus import Recorded
    from shared.events import Event

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
AGO = re.compile(r"(\d+)([smhd])")
console = Console()


def events(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="one run; without it the whole log")] = None,
    *,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="only of this type; may be given several times")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="only from then on: 90s, 10m, 2h, 3d ago, or 2026-01-31T12:00")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on as events happen, until Ctrl-C")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """List events in the order of the log."""
    finish(_events(run, types or [], since, follow=follow, as_json=as_json))


async def _events(run_id: str | None, types: list[str], since: str | None, *, follow: bool, as_json: bool) -> None:
    wanted = [_type(name) for name in types]
    start = moment(since, datetime.now(UTC)) if since else None
    async with running_log() as bus:
        if run_id is not None:
            await history_of(bus, run_id)
        which = run_id or "*"
        source = (
            bus.tail(run_id=which, types=wanted, since=start)
            if follow
            else bus.read(run_id=which, types=wanted, since=start)
        )
        previous = None
        async with aclosing(source) as records:
            async for recorded in records:
                _print(recorded, previous, one_run=run_id is not None, as_json=as_json)
                previous = recorded


def _print(recorded: Recorded, previous: Recorded | None, *, one_run: bool, as_json: bool) -> None:
    """One line; where several runs are mixed each line says when and which."""
    if as_json:
        print(record_json(recorded), flush=True)  # noqa: T201 - the command's output
    elif one_run:
        seconds = (recorded.time - previous.time).total_seconds() if previous else None
        console.print(view.event_line(recorded, seconds), soft_wrap=True)
    else:
        where = Text(f"{recorded.time.astimezone():%m-%d %H:%M:%S}  {recorded.event.run_id}  ", "dim")
        console.print(where + view.event_line(recorded, None), soft_wrap=True)


def moment(text: str, now: datetime) -> datetime:
    """The time that is meant, in UTC; WrongCall for what is none. A time without a zone is this machine's."""
    ago = AGO.fullmatch(text)
    try:
        if ago:
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WrongCall(f"{text!r} is no time; say 90s, 10m, 2h or 3d ago, or 2026-01-31T12:00") from error


def _type(name: str) -> type[Event]:
    if name not in EVENT_TYPES:
        raise WrongCall(f"there is no event type {name}; there are {', '.join(EVENT_TYPES)}")
    return EVENT_TYPES[name]
