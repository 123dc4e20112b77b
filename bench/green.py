"""`make green`: generated pipelines really run, in containers, for real projects; a table of what became of each.

`python -m bench.green [--only NAME]... [--keep FOLDER]`. Everything is embedded: NATS, Chroma, registry, GitLab, and an
upstream that has the images of `scripts/job-images.sh`. A project is green where all jobs of its own pipeline passed,
and what it was broken with was healed. Exit code 1 where one is not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench.green_projects import PROJECTS, Project
from bench.green_sources import checkout, push
from bench.green_upstream import upstream
from greenrun import local, view
from greenrun.follow import follow
from sandbox.gitlab.executor import Mode
from sandbox.gitlab.executor_container import Rights
from sandbox.gitlab.executor_engine import find_engine
from shared.bus import Bus
from shared.errors import GreenrunError
from shared.events import Submission

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from shared.history import Run

AT_ONCE = 2
JOBS_AT_ONCE = 4
# Of the table in a log, in characters.
WIDTH = 160
# Buildah mounts and changes roots: what the runner of a team that builds with it allows as well.
RIGHTS = Rights(security_opt=("seccomp=unconfined",), cap_add=("SYS_ADMIN",))
QUICK: dict[str, Any] = {
    "monitor_interval": 1.0,
    "monitor_timeout": 1800,
    "log_level": os.environ.get("LOG_LEVEL", "ERROR"),
    "log_format": "console",
    "llm_provider": "rules",
    "image_builder": "buildah",
    "registry_insecure": True,
}
DECISIONS = {"chromadb-direct": "template", "chromadb-reference": "rules, from a template", "llm-generated": "rules"}


@dataclass(frozen=True)
class Result:
    """What became of one project."""

    project: Project
    run: Run

    @property
    def green(self) -> bool:
        """Its pipeline passed, and what was broken was healed."""
        return self.run.status == "passed" and bool(self.run.repairs) >= bool(self.project.broken)

    def row(self) -> tuple[str, ...]:
        """The cells of the table."""
        run = self.run
        jobs = run.pipeline.jobs if run.pipeline else ()
        passed = sum(job.status == "success" for job in jobs)
        due = sum(job.status != "skipped" for job in jobs)
        path = DECISIONS.get(run.decision or "", "none")
        seconds = (run.updated - run.started).total_seconds()
        healed = "; ".join(f"{r.error_class}: {r.strategy}" for r in run.repairs)
        mark = "[green]green[/]" if self.green else f"[red]{run.status}[/]"
        cells = (path, str(run.attempt), f"{passed}/{due}", f"{seconds:.0f}", mark, healed)
        return (self.project.name, self.project.stack, *cells)


@asynccontextmanager
async def started(home: Path, images: Sequence[str] = ()) -> AsyncIterator[local.Local]:
    """Everything, with jobs in containers and the work-alikes as the world's registries."""
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(upstream(images))
        jobs = local.Jobs(Mode.CONTAINER, RIGHTS, JOBS_AT_ONCE)
        overrides = {**QUICK, "seed_mirror": source}
        system = await stack.enter_async_context(local.start(home, overrides=overrides, jobs=jobs))
        stack.push_async_callback(_forgotten, str(system.values["nexus_registry"]))
        yield system


async def _forgotten(registry: str) -> None:
    """The engine keeps no name of what jobs pulled from a registry that is gone with this run."""
    engine = await find_engine()
    if engine is not None:
        listed = await engine.call("images", "--format", "{{.Repository}}:{{.Tag}}")
        for name in listed.splitlines():
            if name.startswith(f"{registry}/"):
                await engine.quietly("rmi", name)


async def run(system: local.Local, project: Project, console: Console) -> Result:
    """The project from its files to the end of its run."""
    if system.gitlab is None:
        raise GreenrunError("the projects need a GitLab of their own; unset GITLAB_URL")
    row = await system.gitlab.create_project(f"green/{project.name}")
    with tempfile.TemporaryDirectory(prefix="greenrun-green-") as scratch:
        folder = await checkout(project, Path(scratch))
        await push(folder, row["http_url_to_repo"], system.gitlab.token)
    async with Bus.connect(system.settings(), "green") as bus, AsyncExitStack() as stack:
        submitted = await bus.submit(Submission(repo_url=row["http_url_to_repo"]), "green")
        if project.meanwhile:
            task = asyncio.create_task(project.meanwhile(bus, submitted.run_id, system))
            stack.callback(task.cancel)
        return Result(project, await follow(bus, submitted.run_id, console))


async def run_all(
    projects: Iterable[Project], home: Path, console: Console, images: Sequence[str] = ()
) -> list[Result]:
    """All of them, a few at once, in the order of the list; `images` are the folders that they need, empty for all."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with started(home, images) as system:

        async def one(project: Project) -> Result:
            async with slots:
                result = await run(system, project, console)
                console.print(view.summary(result.run))
                if not result.green:
                    await _show_traces(system, result, console)
                return result

        # One that cannot even begin keeps no other from its end.
        ended = await asyncio.gather(*map(one, projects), return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error
    return [result for result in ended if isinstance(result, Result)]


async def _show_traces(system: local.Local, result: Result, console: Console) -> None:
    """The end of each failed job of the last pipeline."""
    jobs = result.run.pipeline.jobs if result.run.pipeline else ()
    for job in jobs:
        if job.status == "failed" and system.gitlab is not None:
            lines = system.gitlab.forge.store.trace(job.id).splitlines()
            console.print(
                f"--- {result.project.name}: {job.name}", *lines[-60:], sep="\n", markup=False, highlight=False
            )


def table(results: Iterable[Result]) -> Table:
    """A row for each project."""
    shown = Table("project", "stack", "path", "attempts", "jobs", "s", "", "healed", box=None)
    for result in results:
        shown.add_row(*result.row())
    return shown


async def main(names: list[str], keep: Path | None) -> int:
    """The exit code: 0 where all are green."""
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH)
    if await find_engine() is None:
        raise GreenrunError("no container engine answers; scripts/engine.sh starts one")
    wanted = [project for project in PROJECTS if not names or project.name in names]
    if unknown := set(names) - {project.name for project in wanted}:
        raise GreenrunError(f"there is no project {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="greenrun-green-") as scratch:
        results = await run_all(wanted, keep or Path(scratch), console)
    console.print(table(results))
    green = sum(result.green for result in results)
    console.print(f"{green} of {len(results)} green, {sum(bool(r.run.repairs) for r in results)} of them healed")
    return 0 if green == len(results) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], help="only this project; repeatable")
    parser.add_argument("--keep", type=Path, help="folder for all data; default: one that is removed")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(given.only, given.keep)))
