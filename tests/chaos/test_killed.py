"""Services and NATS are killed (-9) at random while runs go through: nothing is lost, and nothing is done twice.

`make chaos` runs it. CHAOS_SEED repeats a sequence of kills, CHAOS_RUNS says how many runs there are.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from greenrun import embedded, local
from greenrun.log import verdict
from shared.bus import Bus
from shared.events import Submission
from shared.history import fold
from shared.settings import CommonSettings
from shared.topology import TOPOLOGY
from tests.cli.test_cli import SAMPLES
from tests.e2e.conftest import QUICK

pytestmark = [pytest.mark.chaos]
SERVICES = tuple(row.service for row in TOPOLOGY if row.reads)
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
RUNS = int(os.environ.get("CHAOS_RUNS") or 30)
DEADLINE = 600.0
# Seconds between two kills; one in so many of them is NATS itself.
PAUSE, NATS_EVERY = (0.5, 2.5), 6


@dataclass
class Killed:
    """The processes by name, each started again as soon as it is gone, and how often each was killed."""

    commands: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str]
    alive: dict[str, Process] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    async def start(self, name: str) -> None:
        """Begin a process; what it says is not kept."""
        self.alive[name] = await asyncio.create_subprocess_exec(
            *self.commands[name], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=dict(self.environment)
        )

    async def kill(self, name: str) -> None:
        """As a power failure does it; the next one begins at once."""
        self.alive[name].kill()
        await self.alive[name].wait()
        self.counts[name] += 1
        await self.start(name)

    @asynccontextmanager
    async def meanwhile(self, chance: random.Random) -> AsyncIterator[None]:
        """Kill one after the other, as long as the context is open."""
        killing = asyncio.create_task(self._forever(chance))
        try:
            yield
        finally:
            killing.cancel()
            await asyncio.wait({killing})

    async def _forever(self, chance: random.Random) -> None:
        kills = 0
        while True:
            await asyncio.sleep(chance.uniform(*PAUSE))
            kills += 1
            await self.kill("nats" if kills % NATS_EVERY == 0 else chance.choice(SERVICES))

    async def end(self) -> None:
        """All of them are gone."""
        for process in self.alive.values():
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def embattled(home: Path) -> AsyncIterator[tuple[local.Parts, dict[str, Any], Killed]]:
    """The sandbox, and all services as processes that may be killed."""
    port = embedded.free_port()
    data = ("-a", embedded.LOOPBACK, "-p", str(port), "-js", "-sd", str(home / "nats"))
    commands: dict[str, tuple[str, ...]] = {name: (sys.executable, "-m", f"services.{name}") for name in SERVICES}
    commands["nats"] = (embedded.program("nats-server"), *data)
    given = {**QUICK, "nats_url": f"nats://{embedded.LOOPBACK}:{port}", "ack_wait": 3.0}
    home.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        parts = local.Parts(home, stack, dict.fromkeys(local.PORTS, 0), lambda _: None, local.CHECKED)
        values = await parts.start(given)
        told = {name.upper(): str(value) for name, value in values.items() if value is not None}
        killed = Killed(commands, os.environ | told)
        stack.push_async_callback(killed.end)
        await killed.start("nats")
        async with Bus.connect(CommonSettings(**values), "provisioner") as bus:
            await bus.provision()
        for name in SERVICES:
            await killed.start(name)
        yield parts, values, killed


async def trailers(values: Mapping[str, Any]) -> Counter[str]:
    """How many commits on GitLab were made for each event."""
    headers = {"PRIVATE-TOKEN": str(values["gitlab_token"])}
    found: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=f"{values['gitlab_url']}/api/v4", headers=headers) as client:
        for project in (await client.get("/projects", params={"per_page": 100})).json():
            where = f"/projects/{project['id']}/repository"
            for branch in (await client.get(f"{where}/branches", params={"per_page": 100})).json():
                asked = {"ref_name": branch["name"], "per_page": 100}
                for commit in (await client.get(f"{where}/commits", params=asked)).json():
                    lines = commit["message"].splitlines()
                    found.update(line.split(": ")[1] for line in lines if line.startswith("Greenrun-Event: "))
    return found


async def test_whatever_is_killed_every_run_ends_and_no_attempt_commits_twice(tmp_path: Path) -> None:
    """One event per subject, every cause there, one commit for each attempt, no dead letter."""
    async with embattled(tmp_path / "home") as (parts, values, killed):
        assert parts.gitlab
        urls = []
        for number in range(RUNS):
            sample = SAMPLES / ("flask-shop" if number % 3 == 0 else "flask-notes")
            made = await parts.gitlab.create_project(f"chaos/p{number}", from_dir=sample)
            urls.append(str(made["http_url_to_repo"]))
        async with Bus.connect(CommonSettings(**values), "test") as bus, asyncio.timeout(DEADLINE):
            async with killed.meanwhile(random.Random(SEED)):
                runs = [(await bus.submit(Submission(repo_url=url), "test")).run_id for url in urls]
                for run_id in runs:
                    await _ended(bus, run_id)
            states = Counter([fold(await bus.history(run_id)).status for run_id in runs])
            found = await verdict(bus)
            commits = await trailers(values)
            wanted = {r.subject for r in await bus.all_events() if r.event.type == "images.seeded"}
            print(f"seed {SEED}: {states}; killed {dict(killed.counts)}; {found}; {len(commits)} commits")  # noqa: T201
    assert found.problems == ()
    assert states == {"passed": RUNS}
    assert found.waiting_letters == 0
    assert {event: count for event, count in commits.items() if count > 1} == {}
    assert set(commits) <= wanted


async def _ended(bus: Bus, run_id: str) -> None:
    """Return once the run is over, learned from or failed; NATS may be away meanwhile."""
    async for recorded in bus.tail(run_id=run_id):
        if recorded.event.type in {"template.stored", "run.failed"}:
            return
