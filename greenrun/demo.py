"""The demo: a real repository gets a pipeline that fails, is healed, passes, and is learned from."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule

from greenrun import local, view
from greenrun.follow import follow
from shared.bus import Bus
from shared.errors import GreenrunError
from shared.events import Submission

if TYPE_CHECKING:
    from rich.console import Console

    from shared.history import Run

SAMPLES = Path(__file__).parent / "samples"
PARTS = 6
CHECKED = "The sandbox's runner checks each job (image, script, artifacts) instead of running it."
# The sandbox's pipelines last about a second, so the demo looks more often than production does.
QUICK: dict[str, Any] = {"monitor_interval": 0.2, "log_level": "ERROR", "log_format": "console"}


async def demo(home: Path, console: Console) -> int:
    """Run it; the exit code: 0 where the first run was healed and the second took the template directly."""
    async with AsyncExitStack() as stack:
        with _progress(console) as progress:
            task = progress.add_task("", total=PARTS)
            system = await stack.enter_async_context(
                local.start(
                    home, overrides=QUICK, progress=lambda part: progress.update(task, advance=1, description=part)
                )
            )
        console.print(f"[dim]{CHECKED}[/]")
        first = await _submit(system, "flask-shop", "a repository that greenrun has never seen", console)
        second = await _submit(system, "flask-notes", "another one of the same kind", console)
    return _verdict(first, second, console)


async def _submit(system: local.Local, sample: str, title: str, console: Console) -> Run:
    """Put the sample on the sandbox's GitLab, submit it, and follow it to its end."""
    if system.gitlab is None:
        raise GreenrunError("the demo needs its own GitLab; unset GITLAB_URL")
    console.print(Rule(f"[bold]{sample}[/]: {title}"))
    project = await system.gitlab.create_project(f"demo/{sample}", from_dir=SAMPLES / sample)
    async with Bus.connect(system.settings(), "demo") as bus:
        submitted = await bus.submit(Submission(repo_url=project["http_url_to_repo"]), "demo")
        run = await follow(bus, submitted.run_id, console)
    console.print(view.summary(run))
    return run


def _verdict(first: Run, second: Run, console: Console) -> int:
    """What was promised and did not happen is said, and the exit code is 1."""
    missing = [
        sentence
        for kept, sentence in (
            (first.status == "passed", "the first pipeline did not become green"),
            (bool(first.repairs), "nothing had to be healed in the first run"),
            (first.template is not None, "no template was stored"),
            (second.status == "passed", "the second pipeline did not become green"),
            (second.decision == "chromadb-direct", "the second run did not take the template directly"),
        )
        if not kept
    ]
    for sentence in missing:
        console.print(f"[red]✗ {sentence}[/]")
    if not missing:
        console.print("[green]✓ one pipeline healed and learned, the next one green from the template at once[/]")
    return 1 if missing else 0


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("starting"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("[dim]{task.description}"),
        TimeElapsedColumn(),
        console=console,
    )
