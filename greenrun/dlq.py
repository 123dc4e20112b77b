"""`greenrun dlq`: what could not be handled, and what a person makes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from greenrun.exits import WrongCall, finish
from greenrun.place import running_log, who
from shared import dead_letters
from shared.dead_letters import NotRedrivable, waiting
from shared.retry import NotRetryable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.bus import Bus
    from shared.dead_letters import DeadLetter, Settled

app = typer.Typer(no_args_is_help=True, help="Dead letters: what could not be handled; list, show, redrive, discard.")
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Id = Annotated[str, typer.Argument(metavar="ID", help="the letter's id, as list prints it: SERVICE.SEQUENCE")]
SHOWN_BYTES = 4000


@app.command("list")
def list_all(
    *,
    everything: Annotated[bool, typer.Option("--all", help="those too that were redriven or discarded")] = False,
    as_json: AsJson = False,
) -> None:
    """List the letters that wait for a person, oldest first."""
    letters = finish(_letters())
    found = letters if everything else waiting(letters)
    if as_json:
        console.print_json(json.dumps([document(letter) for letter in found]))
    elif found:
        console.print(table(found))
    else:
        settled = len(letters) - len(found)
        console.print(f"no dead letter waits{f'; {settled} were settled, list them with --all' if settled else ''}")


@app.command()
def show(letter: Id, *, as_json: AsJson = False) -> None:
    """Show one letter: why it was given up, its bytes, what became of it."""
    found = finish(_letter(letter))
    if as_json:
        console.print_json(json.dumps({**document(found), "body": found.body.decode(errors="replace")}))
        return
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", justify="right")
    facts.add_column(overflow="fold")
    for name, value in _facts(found):
        facts.add_row(name, Text(value))
    console.print(facts)


@app.command()
def redrive(letter: Id, *, as_json: AsJson = False) -> None:
    """Deliver a letter's event again, under the next attempt of its run."""
    subject = finish(_redrive(letter))
    run_id = subject.split(".")[2]
    if as_json:
        console.print_json(json.dumps({"id": letter, "run_id": run_id, "subject": subject}))
    else:
        console.print(f"{letter} goes on as {subject}; follow it with: greenrun watch {run_id}", soft_wrap=True)


@app.command()
def discard(letter: Id, *, reason: Annotated[str, typer.Option(help="why; it stands beside the letter")] = "") -> None:
    """Let a letter go; it stays in the DLQ and is not listed any more."""
    finish(_discard(letter, reason))
    console.print(f"{letter} is discarded; it is still to be read with: greenrun dlq show {letter}", soft_wrap=True)


def table(letters: Sequence[DeadLetter]) -> Table:
    """A line per letter."""
    shown = Table(box=box.SIMPLE_HEAD)
    for column in ("id", "since", "event", "reason"):
        shown.add_column(column, overflow="fold", no_wrap=column == "id")
    for letter in letters:
        reason = Text(_printable(letter.reason))
        if letter.settled:
            reason.append(f" ({_made_of_it(letter.settled)})", "dim")
        shown.add_row(letter.id, f"{letter.time.astimezone():%m-%d %H:%M}", Text(_event(letter)), reason)
    return shown


def _event(letter: DeadLetter) -> str:
    """Type and attempt; the whole subject, which is long, is in `show`."""
    tokens = letter.subject.split(".")
    return f"{'.'.join(tokens[:2])}, attempt {tokens[3]}" if letter.run_id else letter.subject


def document(letter: DeadLetter) -> dict[str, Any]:
    """The letter as JSON, without its body."""
    settled = letter.settled and {
        "outcome": letter.settled.outcome,
        "by": letter.settled.by,
        "time": letter.settled.time.isoformat() if letter.settled.time else None,
        "reason": letter.settled.reason,
        "next": letter.settled.next,
    }
    return {
        "id": letter.id,
        "service": letter.service,
        "sequence": letter.sequence,
        "subject": letter.subject,
        "run_id": letter.run_id,
        "reason": letter.reason,
        "time": letter.time.isoformat(),
        "settled": settled,
    }


def _facts(letter: DeadLetter) -> list[tuple[str, str]]:
    body = letter.body.decode(errors="replace")
    cut = f"{body[:SHOWN_BYTES]} … ({len(letter.body)} bytes; all of it with --json)"
    return [
        ("letter", letter.id),
        ("event", f"{letter.subject}, place {letter.sequence} in the log"),
        ("given up by", f"{letter.service}, {letter.time.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("reason", _printable(letter.reason)),
        *([("settled", _made_of_it(letter.settled))] if letter.settled else []),
        ("body", _printable(body if len(body) <= SHOWN_BYTES else cut)),
        *([("what to do", f"greenrun why {letter.run_id}")] if letter.run_id and not letter.settled else []),
    ]


def _made_of_it(done: Settled) -> str:
    words = [done.outcome, f"by {done.by or 'somebody'}", f"as {done.next}" if done.next else "", done.reason]
    return " ".join(filter(None, words))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


async def _letters() -> list[DeadLetter]:
    async with running_log() as bus:
        return await bus.dead_letters()


async def _letter(name: str) -> DeadLetter:
    async with running_log() as bus:
        return await _named(bus, name)


async def _named(bus: Bus, name: str) -> DeadLetter:
    found = next((letter for letter in await bus.dead_letters() if letter.id == name), None)
    if found is None:
        raise WrongCall(f"there is no dead letter {name}; list them with: greenrun dlq list --all")
    return found


async def _redrive(name: str) -> str:
    async with running_log() as bus:
        try:
            letter = await _named(bus, name)
            return await dead_letters.redrive(bus, letter, source="cli", by=who(), now=datetime.now(UTC))
        except (NotRedrivable, NotRetryable) as error:
            raise WrongCall(str(error)) from error


async def _discard(name: str, reason: str) -> None:
    async with running_log() as bus:
        try:
            await dead_letters.discard(bus, await _named(bus, name), by=who(), reason=reason)
        except NotRedrivable as error:
            raise WrongCall(str(error)) from error
