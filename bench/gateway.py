"""The gateway measured: a filtered page of 100,000 runs, submissions against a plain publish, 500 clients of a stream.

`python -m bench.gateway [--runs N] [--seconds S] [--clients N] [--rate R]`. The gateway is a process of its own on a
real NATS server, all on loopback. The page is SQLite's alone. What a submission costs is set against the same event
published by nats-py with the same guards, as many at once, in the same run. The delay of a stream is from the time at
which NATS stored an event to the moment at which a client has read it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import nats
from ulid import ULID

from greenrun import child, embedded
from services.gateway.projection import Projection, Wanted
from shared.bus import Bus, Recorded, envelope
from shared.events import RepoAnalyzed, RepoSubmitted, RunFailed, Submission, TemplateResolved, new_run_id
from shared.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from shared.events import Event

TOKEN = "bench"
LANGUAGES = ("python", "java", "javascript", "go", "rust", "php", "ruby", "csharp")
AT_ONCE = 64
PAGES = 2_000
FAILING = 0.3
BODY = {"repo_url": "https://gitlab.example/group/project.git", "ref": "main"}
AIMS = {"page p99 ms": 20.0, "share": 0.25, "p99 ms at half": 25.0, "stream p99 ms": 250.0, "memory MB": 200.0}


# Pages


def history(runs: int) -> Iterator[Recorded]:
    """So many runs over a year, three events each: most end one way or another, in eight languages, 2,000 projects."""
    dice, begin, sequence = random.Random(1), datetime(2026, 1, 1, tzinfo=UTC), itertools.count(1)
    for number in range(runs):
        at = begin + timedelta(seconds=number * 300)
        run_id = str(ULID.from_datetime(at))
        for event in _story(run_id, number % 2_000, dice):
            yield Recorded(event, next(sequence), at, event.subject, "bench", None)


def _story(run_id: str, project: int, dice: random.Random) -> list[Event]:
    submission = Submission(repo_url=f"https://gitlab.example/group/p{project}.git")
    analyzed = RepoAnalyzed.model_validate(
        {
            "run_id": run_id,
            "submission": submission,
            "commit_sha": "0" * 40,
            "analysis": {"language": dice.choice(LANGUAGES)},
        }
    )
    decision = dice.choice(("chromadb-direct", "chromadb-reference", "llm-generated"))
    resolved = TemplateResolved.model_validate({**analyzed.model_dump(), "decision": decision})
    failed = RunFailed(run_id=run_id, phase="committer", reason="no such project")
    return [RepoSubmitted(run_id=run_id, **submission.model_dump()), resolved, *([failed] * (dice.random() < FAILING))]


def pages(runs: int, folder: Path) -> list[tuple[float, float]]:
    """Milliseconds and CPU milliseconds of each filtered page at a random place; the fold's rate is printed."""
    dice = random.Random(2)
    with Projection(folder / "runs.db") as projection:
        projection.resume("bench", 1)
        began, count = time.perf_counter(), 0
        for batch in _batched(runs):
            projection.apply(batch, batch[-1].sequence)
            count += len(batch)
        took = time.perf_counter() - began
        size = (folder / "runs.db").stat().st_size / 1e6
        print(f"fold: {count:,} events into {runs:,} runs in {took:.0f} s, {count / took:,.0f} a second, {size:.0f} MB")
        cursors = [run.run_id for run in projection.page(Wanted(), 10_000).runs]
        return [_one_page(projection, dice, cursors) for _ in range(PAGES)]


def _batched(runs: int) -> Iterator[tuple[Recorded, ...]]:
    events = history(runs)
    while batch := tuple(itertools.islice(events, 1_000)):
        yield batch


def _one_page(projection: Projection, dice: random.Random, cursors: Sequence[str]) -> tuple[float, float]:
    since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=dice.randrange(300))
    wanted = Wanted(
        status=dice.choice((None, "running", "failed", "passed")),
        language=dice.choice((None, *LANGUAGES)),
        decision=dice.choice((None, "chromadb-direct", "llm-generated")),
        project=dice.choice((None, None, f"group/p{dice.randrange(2_000)}")),
        since=dice.choice((None, since)),
        until=dice.choice((None, since + timedelta(days=30))),
    )
    began, used = time.perf_counter(), time.thread_time()
    projection.page(wanted, 50, dice.choice((None, *cursors[:1000])))
    return (time.perf_counter() - began) * 1000, (time.thread_time() - used) * 1000


# Submissions


async def plain(url: str, seconds: float) -> float:
    """Events a second that nats-py publishes with both guards, so many at once."""
    client = await nats.connect(url)
    stream = client.jetstream()

    async def publish() -> None:
        event = RepoSubmitted(run_id=new_run_id(), **BODY)
        await stream.publish(event.subject, event.model_dump_json().encode(), headers=envelope(event, "bench", None))

    rate = await _rate(publish, seconds)
    await client.close()
    return rate


async def _rate(work: Callable[[], Awaitable[None]], seconds: float) -> float:
    """How often a second the work is done, so many at once."""
    end, done = time.perf_counter() + seconds, 0

    async def again() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await work()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(again() for _ in range(AT_ONCE)))
    return done / (time.perf_counter() - began)


async def _post(session: aiohttp.ClientSession) -> None:
    async with session.post("/api/v1/pipeline/workflow", json=BODY) as answer:
        answer.raise_for_status()
        await answer.read()


async def paced(session: aiohttp.ClientSession, rate: float, seconds: float) -> list[float]:
    """Milliseconds of each of so many submissions a second; a late one counts from when it was due."""
    times: list[float] = []

    async def one(due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await _post(session)
        times.append((time.perf_counter() - due) * 1000)

    begin = time.perf_counter() + 0.2
    await asyncio.gather(*(one(begin + n / rate) for n in range(int(rate * seconds))))
    return times


# Streams


async def streams(bus: Bus, base: str, clients: int, rate: float, seconds: float) -> list[float]:
    """Milliseconds until each client had each event, of so many a second."""
    delays: list[float] = []
    opened = asyncio.Semaphore(0)
    url = base.removeprefix("http://")
    reading = [asyncio.create_task(_read(url, opened, delays)) for _ in range(clients)]
    for _ in range(clients):
        await opened.acquire()
    begin = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        await bus.submit(Submission.model_validate(BODY), "bench")
    async with asyncio.timeout(60):
        while len(delays) < int(rate * seconds) * clients:
            await asyncio.sleep(0.1)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    return delays


async def _read(where: str, opened: asyncio.Semaphore, delays: list[float]) -> None:
    host, port = where.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    asked = f"GET /api/v1/events?data=false HTTP/1.1\r\nHost: {where}\r\nAccept: text/event-stream\r\n"
    writer.write(f"{asked}Authorization: Bearer {TOKEN}\r\n\r\n".encode())
    await reader.readuntil(b"retry: 2000\n\n")
    opened.release()
    while line := await reader.readline():
        if line.startswith(b"data: "):
            stored = datetime.fromisoformat(json.loads(line[6:])["time"]).timestamp()
            delays.append((time.time() - stored) * 1000)


# All of it


@dataclass(frozen=True)
class Running:
    """The gateway as a process of its own."""

    url: str
    pid: int

    def memory(self) -> float:
        """The most that it had in memory, in MB."""
        lines = (self._process() / "status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))

    def cpu(self) -> float:
        """The seconds of CPU that it took so far."""
        fields = (self._process() / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _process(self) -> Path:
        """The gateway itself, whose parent only holds it on a leash."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return Path("/proc") / (children[0] if children else str(self.pid))


@asynccontextmanager
async def gateway(url: str, folder: Path) -> AsyncIterator[Running]:
    """Up and ready, without a limit of the rate."""
    port = embedded.free_port()
    environment = os.environ | {
        "NATS_URL": url,
        "GATEWAY_PORT": str(port),
        "GATEWAY_TOKEN": TOKEN,
        "GATEWAY_RATE": "0",
        "GATEWAY_DATA": str(folder / "gateway"),
        "LOG_LEVEL": "ERROR",
    }
    with (folder / "gateway.log").open("ab") as log:
        process = await child.start([sys.executable, "-m", "services.gateway"], log, environment)
        try:
            async with asyncio.timeout(30):
                while not await embedded._answers(port, "/readyz"):  # noqa: SLF001 - the same question as at a start
                    await asyncio.sleep(0.1)
            yield Running(f"http://127.0.0.1:{port}", process.pid)
        finally:
            await child.stop(process)


def spread(times: Sequence[float]) -> str:
    """The spread of times in milliseconds, on one line."""
    ordered = sorted(times)
    at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * part))] for name, part in _PARTS.items()}
    return ", ".join(f"{name} {value:.1f}" for name, value in at.items()) + " ms"


_PARTS = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


def p99(times: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(times)[int(len(times) * 0.99)]


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """Everything, printed as it is found; the figures that have aims."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="greenrun-bench-") as scratch:
        folder = Path(scratch)
        times, used = zip(*pages(options.runs, folder), strict=True)
        print(f"pages: {spread(times)}; CPU: {spread(used)}")
        found["page p99 ms"] = p99(times)
        async with embedded.nats_server(folder / "nats") as url:
            settings = CommonSettings(nats_url=url, log_level="ERROR")
            async with Bus.connect(settings, "bench") as bus:
                await bus.provision()
                async with gateway(url, folder) as running:
                    found |= await _submissions(url, running, options.seconds)
                async with gateway(url, folder) as running:
                    before = running.cpu()
                    delays = await streams(bus, running.url, options.clients, options.rate, options.seconds)
                    found |= {"stream p99 ms": p99(delays), "memory MB": running.memory()}
                    cost = (running.cpu() - before) / len(delays) * 1e6
        print(f"streams: {options.clients} clients, {options.rate:g} events a second: {spread(delays)}")
        print(f"CPU of the gateway: {cost:.0f} µs for each event to each client")
        print(f"memory of the gateway at most: {found['memory MB']:.0f} MB")
    return found


async def _submissions(url: str, running: Running, seconds: float) -> dict[str, float]:
    raw = await plain(url, seconds)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(running.url, headers=headers) as session:
        before = running.cpu()
        rate = await _rate(lambda: _post(session), seconds)
        cost = (running.cpu() - before) / (rate * seconds) * 1e6
        times = await paced(session, rate / 2, seconds)
    print(f"nats-py: {raw:,.0f} events a second; the gateway: {rate:,.0f} submissions a second, {rate / raw:.2f} of it")
    print(f"at half that load: {spread(times)}; CPU of the gateway: {cost:.0f} µs a submission")
    return {"share": rate / raw, "p99 ms at half": p99(times)}


def main() -> None:
    """Measure and say which aims were reached; exit code 1 where one was not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rate", type=float, default=20.0)
    found = asyncio.run(measure(parser.parse_args()))
    reached = {name: found[name] >= aim if name == "share" else found[name] <= aim for name, aim in AIMS.items()}
    for name, aim in AIMS.items():
        print(f"{'reached' if reached[name] else 'MISSED'}  {name}: {found[name]:.2f}, aim {aim:g}")
    sys.exit(0 if all(reached.values()) else 1)


if __name__ == "__main__":
    main()
