"""`greenrun provision`: streams, consumers and buckets as the topology and the settings want them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from greenrun.exits import FAILED, finish
from greenrun.place import running_log
from shared.provision import BY_HAND

if TYPE_CHECKING:
    from shared.provision import Change

console = Console()


def provision(
    *,
    apply: Annotated[
        bool, typer.Option("--apply/--check", help="make it so; --check only says what differs (exit code 1)")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """Compare streams, consumers and buckets with what is wanted, and with --apply make them so.

    What would destroy something is refused: then nothing is changed.
    """
    if apply:
        done = finish(_apply())
        _print(done, as_json=as_json)
        return
    changes = finish(_check())
    if as_json:
        console.print_json(json.dumps([_document(change) for change in changes]))
    else:
        _say(changes)
    if changes:
        raise typer.Exit(FAILED)


async def _apply() -> list[str]:
    async with running_log() as bus:
        return await bus.provision()


async def _check() -> list[Change]:
    async with running_log() as bus:
        return await bus.unlike()


def _print(done: list[str], *, as_json: bool) -> None:
    if as_json:
        console.print_json(json.dumps(done))
        return
    for line in done:
        console.print(Text.assemble(("✓ ", "green"), line), soft_wrap=True)
    if not done:
        console.print("everything was there already")


def _say(changes: list[Change]) -> None:
    for change in changes:
        console.print(Text.assemble(("✗ ", "red"), change.sentence), soft_wrap=True)
        for reason in change.refused:
            console.print(Text.assemble(("  refused: ", "yellow"), reason), soft_wrap=True)
    if not changes:
        console.print(Text("✓ streams, consumers and buckets are as they should be", "green"))
    elif any(change.refused for change in changes):
        console.print(BY_HAND, soft_wrap=True)
    else:
        console.print("make it so with: greenrun provision --apply")


def _document(change: Change) -> dict[str, object]:
    keys = {key: {"is": old, "wanted": new} for key, (old, new) in change.keys.items()}
    said = {"kind": change.kind, "name": change.name, "missing": change.missing, "differs": keys}
    return {**said, "refused": list(change.refused)}
