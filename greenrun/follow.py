"""Follow one run to its end and print it as it happens."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from greenrun import view
from shared.events import CommitCreated
from shared.history import fold
from shared.progress import SUBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from shared.bus import Bus, Recorded
    from shared.events import Event
    from shared.history import Run

ENDINGS = frozenset({"template.stored", "run.failed", "run.cancelled"})
NEXT = {
    "repo.submitted": "analyzer reads the repository",
    "repo.analyzed": "retriever looks for a template",
    "template.resolved": "generator makes the files",
    "files.generated": "seeder brings the images",
    "images.seeded": "committer commits",
    "commit.created": "monitor follows the pipeline",
    "pipeline.failed": "healer looks for the cause",
    "pipeline.passed": "learner keeps the template",
}


async def follow(bus: Bus, run_id: str, console: Console, *, as_json: bool = False) -> Run:
    """Print every event of the run, those that have happened first, until it ends; the run at its end.

    Meanwhile the bar tells what a model or a copy says of its progress.
    """
    records: list[Recorded] = []
    # What a retry has opened again ended before: no end counts that something has followed already.
    before = await bus.history(run_id)
    with _progress(console, enabled=not as_json) as progress:
        bar = progress.add_task("waiting for the first event", total=len(NEXT))

        def heard(said: Mapping[str, Any]) -> None:
            progress.update(bar, description=under_way(said))

        async with bus.listen(f"{SUBJECT}.{run_id}", heard), aclosing(bus.tail(run_id=run_id)) as tail:
            async for recorded in tail:
                _print(recorded, records, console, as_json=as_json)
                records.append(recorded)
                event = recorded.event
                phase = list(NEXT).index(event.type) + 1 if event.type in NEXT else len(NEXT)
                progress.update(bar, completed=phase, description=NEXT.get(event.type, ""))
                if recorded.sequence >= (before[-1].sequence if before else 0) and _ended(records):
                    break
    return fold(records)


def under_way(said: Mapping[str, Any]) -> str:
    """What is told on `live.progress.<run>` in a few words: `qwen3 writes, 812 tokens`, `python:3.12, 31.5 MB`."""
    if "tokens" in said:
        words = f"{said.get('model')} writes, {said['tokens']} tokens"
    else:
        image, size = str(said.get("image", "")), said.get("bytes")
        words = f"{image.partition('/')[2] or image}, {size / 1e6:.1f} MB" if isinstance(size, int) else image
    return escape("".join(character if character.isprintable() else " " for character in words))


def record_json(recorded: Recorded) -> str:
    """One event as one line of JSON, its envelope beside its data."""
    return json.dumps(
        {
            "sequence": recorded.sequence,
            "subject": recorded.subject,
            "type": recorded.event.type,
            "time": recorded.time.isoformat(),
            "source": recorded.source,
            "cause": recorded.cause,
            "by": recorded.by,
            "data": recorded.event.model_dump(mode="json"),
        }
    )


def _ended(records: list[Recorded]) -> bool:
    """Whether the latest attempt has come to one of the endings."""
    latest = max(recorded.event.attempt for recorded in records)
    return any(_is_ending(r.event) and r.event.attempt == latest for r in records)


def _is_ending(event: Event) -> bool:
    """Whether nothing follows: a commit is the end where no pipeline was wanted."""
    wanted_no_pipeline = isinstance(event, CommitCreated) and event.proposal.submission.skip_ci
    return wanted_no_pipeline or event.type in ENDINGS


def _print(recorded: Recorded, before: list[Recorded], console: Console, *, as_json: bool) -> None:
    if as_json:
        print(record_json(recorded), flush=True)  # noqa: T201 - the command's output
        return
    seconds = (recorded.time - before[-1].time).total_seconds() if before else None
    console.print(view.event_line(recorded, seconds), soft_wrap=True)


def _progress(console: Console, *, enabled: bool) -> Progress:
    """A bar over the phases with the time since the start, where a person is looking at a terminal."""
    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TextColumn("[dim]{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not (enabled and console.is_terminal),
    )
