"""The monitor measured: requests and CPU per watched pipeline, the delay after its end, and the memory of thousands.

`python -m bench.monitor [--count N] [--seconds S]`. The monitor is a process of its own on a real NATS server; it asks
a GitLab in memory through python-gitlab over HTTP, each pipeline in its own project, which is the dearest case. First
with webhooks through a real gateway, then by polling alone; then 2,000 at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from bench import forge
from greenrun import child, embedded
from services.gateway.service import connect
from services.gateway.settings import Settings
from shared.bus import Bus
from shared.events import (
    Analysis,
    Commands,
    Commit,
    CommitCreated,
    Dependency,
    Evidence,
    Files,
    Image,
    PipelineFailed,
    PipelinePassed,
    Proposal,
    Submission,
    new_run_id,
)
from shared.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SECRET = "bench"
INTERVAL = 30.0
MANY = 2000
# Seconds; with shorter ones the end of so many is more than the budget of requests.
MANY_LAST = (60.0, 300.0)
AIMS = {"requests": 6.0, "hooked p95": 1.0, "polled p95": INTERVAL, "memory": 300.0}
JOB = (
    "{0}:\n  stage: {0}\n  image: registry.example/library/python:3.12-slim\n  script:\n    - make {0}\n"
    + "    - echo x\n" * 30
)


@dataclass(frozen=True)
class Measured:
    """What one run of the bench found: delays in seconds, memory in MB, the rest for each pipeline."""

    delays: Sequence[float]
    requests: float
    cpu: float
    memory: float

    def line(self) -> str:
        """The numbers on one line."""
        delays = sorted(self.delays)
        p95 = delays[int(len(delays) * 0.95)]
        spread = f"delay p50 {statistics.median(delays):.2f} s, p95 {p95:.2f} s, max {delays[-1]:.2f} s"
        cost = (
            f"{self.requests:.1f} requests and {self.cpu * 1000:.0f} ms of CPU for each, {self.memory:.0f} MB at most"
        )
        return f"{spread}; {cost}"


def event(number: int) -> CommitCreated:
    """A run of usual size at its commit: two files, thirty dependencies with their evidence, a dozen images."""
    names = [f"package-{n}" for n in range(30)]
    analysis = Analysis(
        language="python",
        framework="flask",
        package_manager="pip",
        commands=Commands(install="pip install -r requirements.txt", test="pytest"),
        dependencies=tuple(Dependency(name=name, constraint="==1.2.3") for name in names),
        evidence=tuple(
            Evidence(source="requirements.txt", line=n, text=f"{name}==1.2.3") for n, name in enumerate(names)
        ),
    )
    text = f"stages: [{', '.join(forge.JOBS)}]\n" + "".join(map(JOB.format, forge.JOBS))
    text = text.replace("notify_failure:\n", "notify_failure:\n  when: on_failure\n")
    proposal = Proposal(
        submission=Submission(repo_url=f"https://gitlab.example/group/p{number}.git"),
        analysis=analysis,
        decision="llm-generated",
        origin="rules",
        files=Files(pipeline=text, dockerfile="FROM scratch\n" + "RUN make\n" * 40),
    )
    images = tuple(Image(source=f"docker.io/i{n}", target=f"registry.example/i{n}", state="copied") for n in range(12))
    sha = f"{number:040x}"
    commit = Commit(project_id=number, project_path=f"group/p{number}", branch="b", sha=sha, web_url="http://x")
    return CommitCreated(run_id=new_run_id(), proposal=proposal, images=images, commit=commit)


async def measure(count: int, shortest: float, longest: float, *, hooks: bool) -> Measured:
    """Watch so many pipelines that last between so many seconds."""
    with tempfile.TemporaryDirectory(prefix="greenrun-bench-") as folder:
        async with embedded.nats_server(Path(folder) / "nats") as nats, forge.serve() as gitlab:
            settings = CommonSettings(nats_url=nats, log_level="ERROR")
            async with Bus.connect(settings, "bench") as bus, _gateway(bus, gitlab, hooks=hooks):
                await bus.provision()
                async with _monitor(nats, gitlab.url, Path(folder)) as monitor:
                    await _watched(bus, gitlab, monitor, _pipelines(1, 0.1, 0.1, first=count + 1))  # it is up
                    gitlab.asked.clear()
                    return await _watched(bus, gitlab, monitor, _pipelines(count, shortest, longest))


def _pipelines(
    count: int, shortest: float, longest: float, *, first: int = 1
) -> list[tuple[CommitCreated, forge.Pipeline]]:
    chance = random.Random(1)
    made = [(number, event(number)) for number in range(first, first + count)]
    return [(e, forge.Pipeline(n, n, e.commit.sha, chance.uniform(shortest, longest))) for n, e in made]


async def _watched(
    bus: Bus, gitlab: forge.Forge, monitor: int, wanted: Sequence[tuple[CommitCreated, forge.Pipeline]]
) -> Measured:
    """Let them run, and wait for the end of each."""
    ends = {e.run_id: pipeline for e, pipeline in wanted}
    connector = aiohttp.TCPConnector(limit=50)
    before = _cpu(monitor)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as running:
        for e, pipeline in wanted:
            gitlab.add(pipeline)
            running.create_task(gitlab.run(pipeline, session))
            await bus.publish(e.model_copy(update={"at": e.at.now(e.at.tzinfo)}), source="bench")
        delays = await _delays(bus, ends)
    count = len(wanted)
    return Measured(delays, gitlab.asked.total() / count, (_cpu(monitor) - before) / count, _peak(monitor))


async def _delays(bus: Bus, ends: dict[str, forge.Pipeline]) -> list[float]:
    """Seconds between the end of each pipeline and its event in the log."""
    delays: list[float] = []
    async for recorded in bus.tail(types=(PipelinePassed, PipelineFailed)):
        if recorded.event.run_id not in ends:
            continue
        if isinstance(recorded.event, PipelineFailed):
            raise SystemExit(f"a pipeline failed: {recorded.event.pipeline.reasons}")
        delays.append(recorded.time.timestamp() - ends[recorded.event.run_id].moved)
        if len(delays) == len(ends):
            break
    return delays


@asynccontextmanager
async def _gateway(bus: Bus, gitlab: forge.Forge, *, hooks: bool) -> AsyncIterator[None]:
    """A gateway that GitLab tells of its pipelines, where that is wanted."""
    if not hooks:
        yield
        return
    async with connect(Settings(gateway_port=0, webhook_secret=SECRET), bus) as deps:
        gitlab.hook = (f"{deps.url}/api/v1/webhooks/gitlab", SECRET)
        yield


@asynccontextmanager
async def _monitor(nats: str, gitlab: str, folder: Path) -> AsyncIterator[int]:
    """A monitor as its own process, with its default settings; the process's id."""
    values = {"NATS_URL": nats, "GITLAB_URL": gitlab, "GITLAB_TOKEN": "t", "LOG_LEVEL": "WARNING"}
    with (folder / "monitor.log").open("ab") as output:
        argv = [sys.executable, "-m", "services.monitor"]
        process = await child.start(argv, output, {**os.environ, **values})
    try:
        yield await _leashed(process.pid)
    finally:
        await child.stop(process)


async def _leashed(leash: int) -> int:
    """The id of the process on the leash."""
    while not (found := Path(f"/proc/{leash}/task/{leash}/children").read_text().split()):
        await asyncio.sleep(0.05)
    return int(found[0])


def _cpu(pid: int) -> float:
    """Seconds of CPU that the process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> float:
    """The most memory that the process had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """All three measurements against the aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="pipelines at once")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long the longest lasts; the shortest a sixth")
    given = parser.parse_args()
    shortest, longest = given.seconds / 6, given.seconds
    print(f"aims: {', '.join(f'{name} {value:g}' for name, value in AIMS.items())}; interval {INTERVAL:g} s")
    for name, count, hooks, lasts in (
        ("with webhooks", given.count, True, (shortest, longest)),
        ("polling alone", given.count, False, (shortest, longest)),
        ("many at once", MANY, True, MANY_LAST),
    ):
        began = time.monotonic()
        measured = asyncio.run(measure(count, *lasts, hooks=hooks))
        print(f"{name}, {count} pipelines: {measured.line()} ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
