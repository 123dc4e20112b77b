"""`greenrun retry`: one event of a run that ended once more, under the next attempt; the phases after it follow."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from greenrun import view
from greenrun.exits import FAILED, WrongCall, finish
from greenrun.follow import follow
from greenrun.place import history_of, running_log, who
from shared.retry import NotRetryable, options, plan

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.retry import Plan

console = Console()


def retry(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's id")],
    *,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TYPE",
            help="the event to go on from, such as files.generated, or files.generated.1 of the first attempt; "
            "default: what the failed phase had in hand",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="another option than the run was submitted with; several"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="follow the run to its end")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """Go on with a run that ended, once what was wrong is mended."""
    finish(_retry(run, start, changes or [], watch=watch, as_json=as_json))


async def _retry(run_id: str, start: str | None, words: list[str], *, watch: bool, as_json: bool) -> None:
    async with running_log() as bus:
        records = await history_of(bus, run_id)
        try:
            made = plan(records, start, options(words), now=datetime.now(UTC))
        except NotRetryable as error:
            raise WrongCall(str(error)) from error
        await bus.retry(made, source="cli", by=who())
        _say(made, as_json=as_json, watch=watch)
        if watch:
            await _watch(bus, made, as_json=as_json)


def _say(made: Plan, *, as_json: bool, watch: bool) -> None:
    event = made.event
    if as_json and not watch:
        document = {"run_id": event.run_id, "attempt": event.attempt, "subject": event.subject, "cause": made.cause}
        console.print_json(json.dumps(document))
    elif not as_json:
        goes = f"run {event.run_id} goes on from {event.type} as attempt {event.attempt}"
        console.print(goes if watch else f"{goes}; follow it with: greenrun watch {event.run_id}", soft_wrap=True)


async def _watch(bus: Bus, made: Plan, *, as_json: bool) -> None:
    run = await follow(bus, made.event.run_id, console, as_json=as_json)
    if not as_json:
        console.print(view.summary(run))
    if run.status not in {"passed", "committed"}:
        raise typer.Exit(FAILED)
