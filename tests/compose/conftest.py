"""The whole system in containers, as compose.yaml starts it: its own project, ports, images and secrets."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio
from dotenv import dotenv_values

from greenrun import embedded, stack
from greenrun.follow import ENDINGS
from sandbox.gitlab.server import files_of
from shared.adapters.gitlab import GitLabClient
from shared.bus import Bus, Recorded
from shared.events import Submission
from shared.ports import FileChange, Message
from shared.settings import CommonSettings, GitLabSettings
from shared.topology import TOPOLOGY
from tests.engine import require

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "greenrun" / "samples"
SERVICES = tuple(row.service for row in TOPOLOGY)
BUILT = (*SERVICES, "provisioner", "sandbox")
PORTS = ("PUBLISH_NATS", "PUBLISH_GATEWAY", "PUBLISH_GITLAB", "PUBLISH_REGISTRY")
DEADLINE = 120.0
BUILD_SECONDS = 900.0
# What packages are built with is this machine's affair; everything else is the test's.
KEPT = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "PYTHON_IMAGE", "PYPI_INDEX", "DEBIAN_MIRROR")
# What a killed container had in hand comes again soon, so that the tests end soon.
QUICK = {"ACK_WAIT": "4", "RETRY_BASE": "0.2", "RETRY_CAP": "2", "MONITOR_INTERVAL": "0.3"}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class ComposeError(Exception):
    """A command that failed, with what it said."""


@dataclass(frozen=True)
class Stack:
    """The running containers and how this machine reaches them; `environment` is what Compose is told."""

    folder: Path
    environment: Mapping[str, str]
    bus: Bus
    gitlab: GitLabClient

    async def compose(self, *arguments: str, seconds: float = DEADLINE, **variables: str) -> str:
        """What `docker compose` printed."""
        return await compose({**self.environment, **variables}, *arguments, seconds=seconds)

    async def containers(self, service: str) -> list[str]:
        """The ids of a service's containers."""
        return (await self.compose("ps", "--quiet", service)).split()

    async def inspect(self, container: str, template: str) -> str:
        """One fact of a container, by Docker's template."""
        return (await run("docker", "inspect", "--format", template, container)).strip()

    async def kill(self, *services: str) -> None:
        """End all processes of the services' containers as the kernel would; Docker takes it for a crash."""
        found = [container for service in services for container in await self.containers(service)]
        pids = [await self.inspect(container, "{{.State.Pid}}") for container in found]
        await run("docker", "run", "--rm", "--pid=host", "busybox:stable", "kill", "-9", *pids)

    async def submit(self, name: str, sample: str = "flask-notes", **options: str) -> str:
        """The id of a new run, for a new project with the sample's files."""
        project = await self.gitlab.create_project(f"root/{name}")
        files = {path: content.decode() for path, content in files_of(SAMPLES / sample).items()}
        changes = [FileChange("create", path, content) for path, content in files.items()]
        await self.gitlab.commit(project, "main", None, Message("Initial commit"), changes)
        submission = Submission(repo_url=f"{project.web_url}.git", **options)
        return (await self.bus.submit(submission, "test")).run_id

    async def first(self, since: datetime, kind: str) -> Recorded:
        """The first event of that type since then."""
        async with asyncio.timeout(DEADLINE), aclosing(self.bus.tail(since=since)) as tail:
            async for recorded in tail:
                if recorded.event.type == kind:
                    return recorded
        raise AssertionError("a tail never ends")

    async def until(self, run_id: str, wanted: Callable[[Recorded], bool]) -> list[Recorded]:
        """The events of the run up to the first that is wanted."""
        records: list[Recorded] = []
        async with asyncio.timeout(DEADLINE), aclosing(self.bus.tail(run_id=run_id)) as tail:
            async for recorded in tail:
                records.append(recorded)
                if wanted(recorded):
                    break
        return records

    async def ends(self, runs: Iterable[str]) -> dict[str, list[Recorded]]:
        """Run → its events up to its end, for all of them."""
        wanted = list(runs)
        found = await asyncio.gather(*(self.until(one, lambda r: r.event.type in ENDINGS) for one in wanted))
        return dict(zip(wanted, found, strict=True))


async def run(*argv: str, environment: Mapping[str, str] | None = None, seconds: float = DEADLINE) -> str:
    """What the command printed; ComposeError with its errors where it failed."""
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    if process.returncode:
        raise ComposeError(f"{' '.join(argv)}: {err.decode()[-3000:]}")
    return out.decode()


async def compose(environment: Mapping[str, str], *arguments: str, seconds: float = DEADLINE) -> str:
    """What `docker compose` printed; of a developer's own .env it knows nothing."""
    return await run(
        *("docker", "compose", "--env-file", os.devnull, *arguments), environment=environment, seconds=seconds
    )


def told(folder: Path) -> dict[str, str]:
    """An environment for a stack of its own, with the settings of deploy/sandbox.env."""
    own = uuid.uuid4().hex[:8]
    sandbox = {name: value or "" for name, value in dotenv_values(ROOT / "deploy" / "sandbox.env").items()}
    ports = {name: f"127.0.0.1:{embedded.free_port()}" for name in PORTS}
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    names = {"COMPOSE_PROJECT_NAME": f"greenrun-{own}", "GREENRUN_IMAGES": f"greenrun-{own}"}
    files = {"GREENRUN_SECRETS": str(folder / "secrets")}
    # This machine's own certificates, wherever packages come from.
    files |= {"BUILD_CA": str(CERTIFICATES)} if CERTIFICATES.exists() else {}
    return {**kept, **sandbox, **QUICK, **ports, **names, **files, "COMPOSE_BAKE": "false"}


async def command(environment: Mapping[str, str], folder: Path, *arguments: str) -> str:
    """What `greenrun` printed, called in this folder beside the stack."""
    script = "import os, sys; os.chdir(sys.argv.pop(1)); from greenrun.cli import main; main()"
    argv = [sys.executable, "-c", script, str(folder), *arguments]
    home = str(folder / "nowhere")
    return await run(*argv, environment={**environment, "COLUMNS": "200", "GREENRUN_HOME": home})


@pytest.fixture(scope="session")
def compose_plugin() -> None:
    """Compose, which reads the file without an engine; the test is skipped where it is not installed."""
    argv = ["docker", "compose", "version"]
    if shutil.which("docker") is None or subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode:
        pytest.skip("Compose is not installed; scripts/engine.sh installs it")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What Compose is told; whatever it made is gone afterwards."""
    require()
    made = told(tmp_path_factory.mktemp("stack"))
    yield made
    down = ["docker", "compose", "--env-file", os.devnull, "--profile", "*", "down", "--volumes", "--remove-orphans"]
    subprocess.run([*down, "--timeout", "5"], cwd=ROOT, env=made, capture_output=True, check=False, timeout=DEADLINE)
    images = [f"{made['GREENRUN_IMAGES']}/{name}:{tag}" for name in BUILT for tag in ("dev", "next")]
    subprocess.run(["docker", "image", "rm", *images], capture_output=True, check=False, timeout=DEADLINE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def containers(environment: dict[str, str]) -> AsyncIterator[Stack]:
    """The stack with its sandbox, built and healthy."""
    folder = Path(environment["GREENRUN_SECRETS"]).parent
    await run("scripts/bases.sh", seconds=BUILD_SECONDS)
    await command(environment, folder, "secrets", "init", "secrets", "--mounted", "--sandbox")
    await compose(environment, "build", "--quiet", seconds=BUILD_SECONDS)
    await compose(environment, "up", "--wait", "--quiet-pull")
    values = dict(stack.values_told(folder, environment))
    async with (
        Bus.connect(CommonSettings(**values, log_level="ERROR"), "test") as bus,
        GitLabClient.connect(GitLabSettings(**values)) as gitlab,
    ):
        yield Stack(folder, environment, bus, gitlab)
