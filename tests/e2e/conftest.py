"""The whole system on one machine, as `greenrun up` starts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from greenrun import local
from sandbox.gitlab.server import GitLabServer
from shared.bus import Bus, Recorded
from shared.events import Submission

DEADLINE = 60.0
QUICK: dict[str, Any] = {
    "monitor_interval": 0.1,
    "retry_base": 0.2,
    "retry_cap": 1.0,
    "log_level": "ERROR",
    "log_format": "console",
}
HAPPY = [
    "repo.submitted",
    "repo.analyzed",
    "template.resolved",
    "files.generated",
    "images.seeded",
    "commit.created",
    "pipeline.passed",
    "template.stored",
]


@dataclass(frozen=True)
class System:
    """The running system and a client of its log."""

    local: local.Local
    bus: Bus
    data: Path = field(default=Path())

    @property
    def gitlab(self) -> GitLabServer:
        """The sandbox's GitLab."""
        assert self.local.gitlab is not None
        return self.local.gitlab

    async def submit(self, url: str, **options: Any) -> str:
        """The id of a new run."""
        return (await self.bus.submit(Submission(repo_url=url, **options), "test")).run_id

    async def until(self, run_id: str, wanted: Callable[[Recorded], bool]) -> list[Recorded]:
        """The events of the run up to the first that is wanted."""
        records: list[Recorded] = []
        async with asyncio.timeout(DEADLINE), aclosing(self.bus.tail(run_id=run_id)) as tail:
            async for recorded in tail:
                records.append(recorded)
                if wanted(recorded):
                    break
        return records

    async def end(self, run_id: str) -> list[Recorded]:
        """The events of the run up to its end."""
        return await self.until(run_id, lambda recorded: recorded.event.type in {"template.stored", "run.failed"})


def types(records: list[Recorded]) -> list[str]:
    """The types in order."""
    return [recorded.event.type for recorded in records]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Everything embedded, on free ports."""
    home = tmp_path_factory.mktemp("greenrun")
    async with local.start(home, overrides=QUICK) as started, Bus.connect(started.settings(), "test") as bus:
        yield System(started, bus, home)
