"""greenrun: from a repository URL to a green GitLab CI pipeline.

Every command that lists, shows or follows has --json. Errors are one sentence on standard error and an exit code:
1 for a run that failed, 2 for a wrong call, 3 where something outside is not available.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from greenrun import (
    dlq,
    events,
    images,
    log,
    offline,
    provision,
    replay,
    report,
    retry,
    sandbox,
    secrets,
    templates,
    token,
    view,
    webhook,
    why,
)
from greenrun.exits import FAILED, UNAVAILABLE, USAGE, fail, finish, stop_signal
from greenrun.follow import follow
from greenrun.place import history_of, running_log, values, who
from shared.errors import GreenrunError
from shared.events import RunCancelled, Submission
from shared.history import fold
from shared.settings import plain

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from shared.bus import Bus, Recorded
    from shared.history import Run

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(templates.app, name="templates")
app.add_typer(images.app, name="images")
app.add_typer(webhook.app, name="webhook")
app.add_typer(token.app, name="token")
app.add_typer(secrets.app, name="secrets")
app.add_typer(dlq.app, name="dlq")
app.add_typer(log.app, name="log")
app.command()(provision.provision)
app.command()(replay.replay)
app.command()(report.export)
app.command("import")(report.import_run)
app.command()(events.events)
app.command()(retry.retry)
app.command()(why.why)
app.command()(offline.analyze)
app.command()(offline.generate)
app.command()(offline.lint)
app.command()(offline.classify)

console = Console()


class Create(StrEnum):
    """What a project that is made begins with."""

    EMPTY = "empty"
    IMPORT = "import"


AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Home = Annotated[Path | None, typer.Option(help="where the embedded parts keep their data (GREENRUN_HOME)")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="the run's id, as submit prints it")]


@app.command()
def up(
    *,
    home: Home = None,
    processes: Annotated[bool, typer.Option("--processes", help="each service in its own process")] = False,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="any free ports, not the standard ones")] = False,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C."""
    finish(_up(home, processes=processes, fixed_ports=not free_ports))


@app.command()
def demo(
    *,
    home: Annotated[
        Path | None, typer.Option(help="where it keeps its data; default: a folder that is removed")
    ] = None,
    in_containers: Annotated[
        bool, typer.Option("--compose", help="on the containers of this folder's compose.yaml, with profile sandbox")
    ] = False,
) -> None:
    """Show it: one pipeline that is healed, and a second one from the template that was learned."""
    from greenrun.demo import demo as show  # noqa: PLC0415 - the embedded parts are an extra
    from greenrun.demo import demo_in_containers  # noqa: PLC0415

    if in_containers:
        raise typer.Exit(finish(demo_in_containers(Path.cwd(), console)))
    with tempfile.TemporaryDirectory(prefix="greenrun-demo-") as scratch:
        raise typer.Exit(finish(show(home or Path(scratch), console)))


@app.command()
def submit(
    url: Annotated[str, typer.Argument(help="the repository's URL")],
    *,
    project: Annotated[str | None, typer.Option(help="GitLab project to commit to: path, id or address")] = None,
    ref: Annotated[str | None, typer.Option(help="branch, tag or commit to read; default: the default branch")] = None,
    subfolder: Annotated[str | None, typer.Option(help="folder of the project to build; default: the root")] = None,
    create_project: Annotated[
        Create | None, typer.Option(help="make the project where there is none: empty, or with the repository's branch")
    ] = None,
    branch: Annotated[str | None, typer.Option(help="branch to commit to; default: one of the run's own")] = None,
    merge_request: Annotated[
        bool, typer.Option("--merge-request", help="open a draft merge request; it is ready once the pipeline passed")
    ] = False,
    skip_ci: Annotated[
        bool, typer.Option("--skip-ci", help="commit with \\[skip ci]: the run ends with the commit, unproven")
    ] = False,
    author: Annotated[str | None, typer.Option(help="author of the commit: 'Name <address>'")] = None,
    builder: Annotated[str | None, typer.Option(help="what builds the image: kaniko, buildah or buildkit")] = None,
    heal_attempts: Annotated[int | None, typer.Option(help="repairs at most; 0: none")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="follow the run to its end")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for a pipeline."""
    create = create_project and create_project.value
    wanted: dict[str, Any] = {"project": project, "create_project": create, "branch": branch}
    wanted |= {"ref": ref, "subfolder": subfolder, "author": author, "requested_by": "cli"}
    wanted |= {"builder": builder, "heal_attempts": heal_attempts}
    try:
        submission = Submission.model_validate(
            {"repo_url": url, "merge_request": merge_request, "skip_ci": skip_ci, **wanted}
        )
    except ValidationError as error:
        raise fail(USAGE, "; ".join(_said(e) for e in error.errors())) from error
    if not _is_address(submission.repo_url):
        raise fail(USAGE, f"{url} is not the address of a repository, such as https://gitlab.example.com/shop/web.git")
    finish(_submit(submission, watch=watch, as_json=as_json))


@app.command()
def watch(run: RunId, *, as_json: AsJson = False) -> None:
    """Follow a run to its end; exit code 1 where it failed."""
    finish(_watch(run, as_json=as_json))


@app.command()
def cancel(run: RunId, *, reason: Annotated[str, typer.Option(help="why; it stands in the log")] = "") -> None:
    """End a run: what is in hand is given up, and nothing further is done for it."""
    finish(_cancel(run, reason))


@app.command()
def runs(*, as_json: AsJson = False) -> None:
    """List all runs, newest first."""
    finish(_runs(as_json=as_json))


@app.command()
def show(run: RunId, *, as_json: AsJson = False) -> None:
    """Show one run: decision, files, images, commit, jobs, healing, template."""
    finish(_show(run, as_json=as_json))


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Check every dependency and say what to do about what is missing; exit code 3 where something is."""
    from greenrun.doctor import examine  # noqa: PLC0415 - what it needs takes time to load

    findings = finish(examine(values()))
    if as_json:
        _print_json([finding.document() for finding in findings])
    else:
        table = Table.grid(padding=(0, 2))
        for _ in ("mark", "name", "seen", "advice"):
            table.add_column(overflow="fold")
        for finding in findings:
            mark = "[green]✓[/]" if finding.ok else "[red]✗[/]"
            table.add_row(mark, finding.name, finding.seen, f"[yellow]{finding.advice}[/]")
        console.print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(UNAVAILABLE)


def main() -> None:
    """Entry point of the console script."""
    app()


async def _up(home: Path | None, *, processes: bool, fixed_ports: bool) -> None:
    from greenrun import local  # noqa: PLC0415 - the embedded parts are an extra

    stop = stop_signal()
    home = home or local.default_home()
    # The addresses are what a person looks for here; LOG_LEVEL=INFO shows what each service does.
    quiet = {"log_level": os.environ.get("LOG_LEVEL", "WARNING"), "log_format": os.environ.get("LOG_FORMAT", "console")}
    started = local.start(
        home,
        overrides=quiet,
        fixed_ports=fixed_ports,
        processes=processes,
        progress=lambda part: console.print(f"[green]✓[/] {part}"),
    )
    async with started as system:
        console.print(f"[bold]greenrun is up[/], its data in {home}; API at {system.parts['gateway']}", soft_wrap=True)
        if made := system.values.get("gateway_token"):
            console.print(f"the API's token is {made}", soft_wrap=True, highlight=False)
        elsewhere = "" if home == local.default_home() else f"GREENRUN_HOME={shlex.quote(str(home))} "
        told = f"submit a repository from another terminal: {elsewhere}greenrun submit URL --watch  (Ctrl-C ends)"
        console.print(told, soft_wrap=True)
        await stop.wait()
        console.print("finishing what is in hand …")


async def _submit(submission: Submission, *, watch: bool, as_json: bool) -> None:
    async with running_log() as bus:
        event = await bus.submit(submission, "cli", by=who())
        if watch:
            await _follow(bus, event.run_id, as_json=as_json)
        elif as_json:
            _print_json({"run_id": event.run_id})
        else:
            console.print(
                f"run {event.run_id} submitted; follow it with: greenrun watch {event.run_id}", soft_wrap=True
            )


async def _watch(run_id: str, *, as_json: bool) -> None:
    async with running_log() as bus:
        await history_of(bus, run_id)
        await _follow(bus, run_id, as_json=as_json)


async def _follow(bus: Bus, run_id: str, *, as_json: bool) -> None:
    """Follow to the end; the exit code says whether the pipeline is green."""
    run = await follow(bus, run_id, console, as_json=as_json)
    if not as_json:
        console.print(view.summary(run))
    if run.status not in {"passed", "committed"}:
        raise typer.Exit(FAILED)


async def _cancel(run_id: str, reason: str) -> None:
    async with running_log() as bus:
        run = fold(await history_of(bus, run_id))
        if run.status != "running":
            raise GreenrunError(f"run {run_id} has {run.status}; there is nothing to cancel")
        event = RunCancelled(run_id=run_id, attempt=run.attempt, cancelled_by="cli", reason=reason)
        await bus.publish(event, source="cli", by=who())
    console.print(f"run {run_id} is cancelled")


async def _runs(*, as_json: bool) -> None:
    async with running_log() as bus:
        by_run: dict[str, list[Recorded]] = {}
        for recorded in await bus.all_events():
            by_run.setdefault(recorded.event.run_id, []).append(recorded)
    found = view.newest_first(fold(records) for records in by_run.values())
    if as_json:
        _print_json([run.model_dump(mode="json", exclude={"files", "timeline"}) for run in found])
    elif found:
        console.print(view.runs_table(found))
    else:
        console.print("no runs yet; start one with: greenrun submit URL")


async def _show(run_id: str, *, as_json: bool) -> None:
    async with running_log() as bus:
        run: Run = fold(await history_of(bus, run_id))
    if as_json:
        _print_json(run.model_dump(mode="json"))
    else:
        console.print(view.summary(run))


def _is_address(url: str) -> bool:
    from shared.adapters.git import SCP_LIKE  # noqa: PLC0415 - what it needs takes time to load

    return "://" in url or SCP_LIKE.fullmatch(url) is not None


def _said(problem: ErrorDetails) -> str:
    """What is wrong with a submission; the message of a validator names its field itself."""
    message = plain(problem["msg"])
    return message if message != problem["msg"] else f"{'.'.join(map(str, problem['loc']))}: {message}"


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
