"""Each service measured alone: CPU, memory and deliveries a second of one process; events and bytes in the log.

`python -m bench.scaling [--runs 60]`. So many repositories of one kind go through the whole pipeline, one service at a
time: the gateway takes all, then the analyzer alone reads all, and so on; each attempt fails at first and is healed, so
every service has its turn with real inputs. NATS, Chroma, the registry and GitLab are those of the sandbox on loopback,
the recipes write the files: what is measured is greenrun, not a model or a wire. CPU is process time, the children's
(git, skopeo) too; it counts the service and not what the others of this machine do. docs/scaling.md calculates with it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from greenrun import child, local
from shared import logging, topology
from shared.bus import Bus, envelope
from shared.events import (
    CommitCreated,
    Event,
    FilesGenerated,
    ImagesSeeded,
    PipelineFailed,
    PipelinePassed,
    RepoAnalyzed,
    RepoSubmitted,
    RunFailed,
    TemplateResolved,
    TemplateStored,
)
from shared.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

SAMPLE = Path(__file__).parents[1] / "greenrun" / "samples" / "flask-shop"
# Seconds for one service to go through all runs.
PATIENCE = 600.0
# Who goes when, and what it makes of every run. All fail once: a first pass to the failure, a second to the end.
STAGES: tuple[tuple[str, type[Event]], ...] = (
    ("gateway", RepoSubmitted),
    ("analyzer", RepoAnalyzed),
    ("retriever", TemplateResolved),
    ("generator", FilesGenerated),
    ("seeder", ImagesSeeded),
    ("committer", CommitCreated),
    ("monitor", PipelineFailed),
    ("healer", FilesGenerated),
    ("seeder", ImagesSeeded),
    ("committer", CommitCreated),
    ("monitor", PipelinePassed),
    ("learner", TemplateStored),
)


@dataclass
class Process:
    """One running service, or a server beside it."""

    pid: int
    idle: float = 0.0

    def cpu(self) -> float:
        """Seconds of CPU so far, those of children that have ended too."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def memory(self, what: str) -> float:
        """`VmRSS` (now) or `VmHWM` (at most) in MB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:"))


async def measure(runs: int) -> None:
    """All stages, a line for each, then the log."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenrun-bench-")))
        parts = local.Parts(home, stack, dict.fromkeys(local.PORTS, 0), lambda _: None)
        values = await parts.start({"log_level": "ERROR"})
        bus = await stack.enter_async_context(Bus.connect(CommonSettings(**values), "bench"))
        await bus.provision()
        assert parts.gitlab is not None
        urls = [await _project(parts, number) for number in range(runs)]
        servers = {name: Process(_found(home, name)) for name in ("nats-server", "chroma")}
        before = {name: one.cpu() for name, one in servers.items()}
        print("stage      deliveries  a second  CPU ms each  start ms  idle MB  peak MB")
        for service, outcome in STAGES:
            await _stage(bus, service, outcome, values, home, urls)
        spent = {name: f"{(one.cpu() - before[name]) / runs * 1000:.1f} ms" for name, one in servers.items()}
        sizes = {name: f"{one.memory('VmHWM'):.0f} MB" for name, one in servers.items()}
        print(f"CPU of the servers for each run: {spent}; memory at most: {sizes}")
        await _log(bus, runs, home)


async def _project(parts: local.Parts, number: int) -> str:
    assert parts.gitlab is not None
    project = await parts.gitlab.create_project(f"bench/shop-{number}", from_dir=SAMPLE)
    return str(project["http_url_to_repo"])


async def _stage(
    bus: Bus, service: str, outcome: type[Event], values: Mapping[str, Any], home: Path, urls: Sequence[str]
) -> None:
    """Start one service, let it go through all that waits, and print what it took."""
    before = await _count(bus, outcome)
    async with _running(service, values, home) as process:
        start, began = process.cpu(), time.perf_counter()
        if service == "gateway":
            await _submitted(f"http://127.0.0.1:{values['gateway_port']}", urls)
        await _until(bus, outcome, before + len(urls))
        rate, each = len(urls) / (time.perf_counter() - began), (process.cpu() - start) / len(urls) * 1000
        memory = f"{process.idle:8.0f} {process.memory('VmHWM'):8.0f}"
    print(f"{service:10} {len(urls):10} {rate:9.1f} {each:12.1f} {start * 1000:9.0f} {memory}", flush=True)


@asynccontextmanager
async def _running(service: str, values: Mapping[str, Any], home: Path) -> AsyncIterator[Process]:
    """The service as its own process, from the moment at which it is connected."""
    environment = os.environ | {key.upper(): str(value) for key, value in values.items() if value is not None}
    environment["LOG_LEVEL"] = "INFO"
    path = home / f"{service}.log"
    with path.open("wb") as output:
        leash = await child.start([sys.executable, "-m", f"services.{service}"], output, environment)
    try:
        async with asyncio.timeout(PATIENCE):
            while b'"ready"' not in path.read_bytes():
                await asyncio.sleep(0.005)
        process = Process(int(Path(f"/proc/{leash.pid}/task/{leash.pid}/children").read_text().split()[0]))
        process.idle = process.memory("VmRSS")
        yield process
    finally:
        await child.stop(leash)


def _found(home: Path, program: str) -> int:
    """The process id of a server of this bench, by its data folder."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if str(home) in " ".join(words) and program in words[0] + words[1] and "greenrun.leash" not in words:
            return int(path.parent.name)
    raise SystemExit(f"{program} is not running")


async def _submitted(gateway: str, urls: Sequence[str]) -> None:
    """Every repository through the API, sixteen at once."""
    hands = asyncio.Semaphore(16)
    async with aiohttp.ClientSession(gateway, raise_for_status=True) as session:

        async def one(url: str) -> None:
            async with hands, session.post("/api/v1/pipeline/workflow", json={"repo_url": url}):
                pass

        await asyncio.gather(*map(one, urls))


async def _count(bus: Bus, kind: type[Event]) -> int:
    return sum(isinstance(recorded.event, kind) for recorded in await bus.all_events())


async def _until(bus: Bus, outcome: type[Event], wanted: int) -> None:
    """Return when so many of this type are in the log; a run that failed ends the bench."""
    seen = 0
    async with asyncio.timeout(PATIENCE):
        async for recorded in bus.tail(types=(outcome, RunFailed)):
            if isinstance(recorded.event, RunFailed):
                raise SystemExit(f"a run failed: {recorded.event.reason} {recorded.event.evidence[:500]}")
            seen += 1
            if seen >= wanted:
                return


async def _log(bus: Bus, runs: int, home: Path) -> None:
    """Events and bytes for each run: as they are sent, and as the stream keeps them."""
    events, sizes = Counter[str](), Counter[str]()
    for recorded in await bus.all_events():
        headers = envelope(recorded.event, recorded.source, recorded.cause)
        events[recorded.event.type] += 1
        sizes[recorded.event.type] += len(recorded.event.model_dump_json()) + sum(
            len(key) + len(value) + 4 for key, value in headers.items()
        )
    for name, count in events.items():
        print(f"{name:18} {count / runs:5.1f} a run, {sizes[name] / count:8.0f} bytes each")
    disk = {
        stream: sum(path.stat().st_size for path in (home / "nats").rglob(f"{stream}/msgs/*.blk"))
        for stream in (topology.EVENTS_STREAM, f"OBJ_{topology.BLOBS_BUCKET}")
    }
    kept = ", ".join(f"{size / runs / 1024:.1f} KB in {stream}" for stream, size in disk.items())
    print(f"for each run: {events.total() / runs:.1f} events, {sizes.total() / runs / 1024:.1f} KB; on disk {kept}")


def main() -> None:
    """The whole measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60, help="repositories")
    logging.configure(CommonSettings(log_level="ERROR"))
    asyncio.run(measure(parser.parse_args().runs))


if __name__ == "__main__":
    main()
