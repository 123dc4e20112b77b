"""A running system in which nothing is healed: what fails waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from greenrun import embedded, local
from greenrun.cli import app
from shared.bus import Bus
from tests.cli.test_cli import SAMPLES, Done
from tests.e2e.conftest import DEADLINE, QUICK, System


@dataclass(frozen=True)
class Command:
    """Runs the command against one home folder, in a thread of this process: that is quick, and the tests are many."""

    home: Path

    async def __call__(self, *arguments: str, **env: str) -> Done:
        """Run it to its end."""
        environment = {"GREENRUN_HOME": str(self.home), "COLUMNS": "200", **env}
        done = await asyncio.to_thread(CliRunner(env=environment).invoke, app, arguments)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """The system, and a client of its log."""
    home = tmp_path_factory.mktemp("operate")
    async with (
        local.start(home, overrides={**QUICK, "max_self_heal_attempts": 0}) as started,
        Bus.connect(started.settings(), "test") as bus,
    ):
        yield System(started, bus, home)


@pytest.fixture
def cli(system: System) -> Command:
    """The command beside it, which finds it through its home folder."""
    return Command(system.data)


async def project(system: System, path: str, sample: str = "flask-notes") -> str:
    """The address of a new repository on the sandbox."""
    return str((await system.gitlab.create_project(path, from_dir=SAMPLES / sample))["http_url_to_repo"])


async def pushed(target: str, like: str) -> None:
    """Put an image into the registry under another name, as a person would who was told that it is missing."""
    argv = ["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]
    names = [f"docker://{name}" for name in (like, target)]
    process = await asyncio.create_subprocess_exec(embedded.program("skopeo"), *argv, *names)
    assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
