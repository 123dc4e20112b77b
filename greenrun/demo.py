"""The demo: a real repository gets a pipeline that fails, is healed, passes, and is learned from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule

from greenrun import embedded, local, stack, view
from greenrun.follow import follow
from sandbox.gitlab.server import files_of
from shared.adapters.gitlab import GitLabClient
from shared.bus import Bus
from shared.errors import GreenrunError, Retry
from shared.events import Submission
from shared.ports import FileChange, Message
from shared.settings import CommonSettings, GitLabSettings

if TYPE_CHECKING:
    from rich.console import Console

    from sandbox.gitlab.server import GitLabServer
    from shared.history import Run

# Puts a sample on a GitLab; its address.
Publish = Callable[[str], Awaitable[str]]

SAMPLES = Path(__file__).parent / "samples"
RUNS = (
    ("flask-shop", "a repository that greenrun has never seen"),
    ("flask-notes", "another one of the same kind"),
)
# Where the samples stand on the GitLab of a stack.
OWNER, BRANCH = "root", "main"
DIRECT = "chromadb-direct"
PARTS = 6
CHECKED = "The sandbox's runner checks each job (image, script, artifacts) instead of running it."
KNOWN = (
    "[green]✓ both green from the template that this stack had learned before[/]; "
    "to see it heal again: docker compose down --volumes"
)
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
        if system.gitlab is None:
            raise GreenrunError("the demo needs its own GitLab; unset GITLAB_URL")
        return await _show(system.settings(), partial(_on_own_gitlab, system.gitlab), console)


async def demo_in_containers(folder: Path, console: Console) -> int:
    """Run it on the stack of the folder's compose.yaml with the profile sandbox; the exit code is that of `demo`.

    Retry where the stack is not up.
    """
    values = stack.values(folder) | {"log_level": "ERROR"}
    settings, gitlab = CommonSettings(**values), GitLabSettings(**values)
    try:
        await embedded.reachable(settings.nats_url)
        async with httpx.AsyncClient() as client:
            await client.get(gitlab.gitlab_url)
    except (OSError, TimeoutError, httpx.HTTPError) as error:
        advice = "start it with: docker compose --profile sandbox up --wait"
        raise Retry(f"there is no sandbox at {settings.nats_url} and {gitlab.gitlab_url}; {advice}") from error
    async with GitLabClient.connect(gitlab) as client_of_gitlab:
        return await _show(settings, partial(_on_the_stack, client_of_gitlab), console)


async def _show(settings: CommonSettings, publish: Publish, console: Console) -> int:
    """Both runs, each followed to its end."""
    console.print(f"[dim]{CHECKED}[/]")
    async with Bus.connect(settings, "demo") as bus:
        first, second = [await _submit(bus, await publish(sample), sample, title, console) for sample, title in RUNS]
    return _verdict(first, second, console)


async def _submit(bus: Bus, url: str, sample: str, title: str, console: Console) -> Run:
    """Submit the sample, and follow it to its end."""
    console.print(Rule(f"[bold]{sample}[/]: {title}"))
    submitted = await bus.submit(Submission(repo_url=url), "demo")
    run = await follow(bus, submitted.run_id, console)
    console.print(view.summary(run))
    return run


async def _on_own_gitlab(gitlab: GitLabServer, sample: str) -> str:
    """Put the sample on the GitLab of this process; its address."""
    project = await gitlab.create_project(f"demo/{sample}", from_dir=SAMPLES / sample)
    return str(project["http_url_to_repo"])


async def _on_the_stack(gitlab: GitLabClient, sample: str) -> str:
    """Put the sample on the stack's GitLab, where it is not there already; its address as containers know it."""
    project = await gitlab.create_project(f"{OWNER}/{sample}")
    files = {path: content.decode() for path, content in files_of(SAMPLES / sample).items()}
    if not await gitlab.files_at(project.id, BRANCH, list(files)):
        changes = [FileChange("create", path, content) for path, content in files.items()]
        await gitlab.commit(project, BRANCH, None, Message("Initial commit"), changes)
    return f"{project.web_url}.git"


def _verdict(first: Run, second: Run, console: Console) -> int:
    """What was promised and did not happen is said, and the exit code is 1.

    A stack that was shown it before knows the template already: then both runs take it.
    """
    if {first.decision, second.decision} == {DIRECT} and first.status == second.status == "passed":
        console.print(KNOWN)
        return 0
    missing = [
        sentence
        for kept, sentence in (
            (first.status == "passed", "the first pipeline did not become green"),
            (bool(first.repairs), "nothing had to be healed in the first run"),
            (first.template is not None, "no template was stored"),
            (second.status == "passed", "the second pipeline did not become green"),
            (second.decision == DIRECT, "the second run did not take the template directly"),
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
