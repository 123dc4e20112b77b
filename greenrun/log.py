"""`greenrun log`: the log as a whole; whether it keeps its promises, and a copy of it in a file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from greenrun.exits import FAILED, finish
from greenrun.place import running_log
from shared import topology
from shared.audit import READER, Audit, floors
from shared.dead_letters import waiting
from shared.errors import Reject

if TYPE_CHECKING:
    from shared.bus import Bus

app = typer.Typer(no_args_is_help=True, help="The log as a whole: verify, archive, restore.")
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
SHOWN = 50


@dataclass(frozen=True)
class Verdict:
    """What an audit of the log found; good where `problems` is empty."""

    messages: int
    events: int
    runs: dict[str, int]
    blobs: int
    waiting_letters: int
    problems: tuple[str, ...]


@app.command()
def verify(*, as_json: AsJson = False) -> None:
    """Check the log: one event per subject, every cause, every run's end, every blob; exit code 1 where one fails."""
    found = finish(_verify())
    if as_json:
        console.print_json(json.dumps(asdict(found)))
    else:
        _print(found)
    if found.problems:
        raise typer.Exit(FAILED)


async def _verify() -> Verdict:
    async with running_log() as bus:
        return await verdict(bus)


async def verdict(bus: Bus) -> Verdict:
    """The audit of the log behind this bus."""
    # Before the log is read: what was acknowledged by now has its answer in what is read then.
    acknowledged = floors([(name, await _consumer(bus, name)) for name in READER.values()])
    letters = await bus.dead_letters()
    audit = Audit(frozenset(letter.sequence for letter in letters))
    async for subject, sequence, events in bus.audited():
        audit.message(subject, sequence, events)
    states, lost = audit.runs(acknowledged)
    problems = [*audit.problems, *audit.causes(), *lost, *await _broken(bus, audit)]
    return Verdict(audit.messages, audit.events, dict(states), len(audit.blobs), len(waiting(letters)), tuple(problems))


async def _consumer(bus: Bus, name: str) -> dict[str, object]:
    return await bus.ask(f"CONSUMER.INFO.{topology.EVENTS_STREAM}.{name}")


async def _broken(bus: Bus, audit: Audit) -> list[str]:
    """A sentence for each blob that an event names and that is not what its digest says."""
    found = []
    for reference in audit.blobs.values():
        try:
            await bus.get_blob(reference)
        except Reject as error:
            found.append(error.reason)
    return found


def _print(found: Verdict) -> None:
    runs = ", ".join(f"{count} {state}" for state, count in Counter(found.runs).most_common()) or "none"
    count = found.waiting_letters
    letters = f"{count} wait{'s' if count == 1 else ''} for a person: greenrun dlq list" if count else "none waits"
    facts = (
        ("events", f"{found.events} in {found.messages} messages"),
        ("runs", runs),
        ("blobs", f"{found.blobs}, each read and compared with its digest"),
        ("dead letters", letters),
    )
    for name, value in facts:
        console.print(Text.assemble((f"{name:>13}  ", "dim"), value), soft_wrap=True)
    for problem in found.problems[:SHOWN]:
        console.print(Text(f"✗ {problem}", "red"), soft_wrap=True)
    if len(found.problems) > SHOWN:
        console.print(f"and {len(found.problems) - SHOWN} more; all of them with --json")
    if not found.problems:
        console.print(Text("✓ the log keeps its promises", "green"))
