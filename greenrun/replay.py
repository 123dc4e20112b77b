"""`greenrun replay`: every run folded anew from the log, as whoever shows state does; what comes out, and how fast."""

from __future__ import annotations

import json
from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from greenrun.exits import finish
from greenrun.place import running_log
from shared.history import fold

if TYPE_CHECKING:
    from shared.bus import Recorded

console = Console()


def replay(*, as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False) -> None:
    """Read the whole log and fold every run again: how many there are, and how they stand."""
    found = finish(_replay())
    if as_json:
        console.print_json(json.dumps(found))
        return
    rows = (
        ("events", f"{found['events']}: {_counts(found['types'])}"),
        ("runs", f"{found['runs']}: {_counts(found['states'])}"),
        ("took", f"{found['seconds']:.2f} s, {found['events'] / max(found['seconds'], 1e-9):.0f} events a second"),
    )
    for name, value in rows:
        console.print(Text.assemble((f"{name:>8}  ", "dim"), value), soft_wrap=True)


async def _replay() -> dict[str, Any]:
    by_run: dict[str, list[Recorded]] = {}
    types: Counter[str] = Counter()
    async with running_log() as bus:
        began = perf_counter()
        async for recorded in bus.read():
            types[recorded.event.type] += 1
            by_run.setdefault(recorded.event.run_id, []).append(recorded)
    states = Counter(fold(records).status for records in by_run.values())
    counts = {"events": types.total(), "runs": len(by_run), "types": dict(types), "states": dict(states)}
    return {**counts, "seconds": round(perf_counter() - began, 3)}


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(found).most_common()) or "none"
