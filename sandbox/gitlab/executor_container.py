"""The place `container`: every job in containers from its own image, with Docker or Podman; services beside it."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox.gitlab import executor_process
from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.executor_engine import EngineFailed, find_engine
from sandbox.gitlab.executor_local import NotPrepared
from sandbox.gitlab.executor_network import LOOPBACK, network, service
from sandbox.gitlab.executor_script import DETECT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from sandbox.gitlab.executor_engine import Engine
    from sandbox.gitlab.executor_local import Output
    from sandbox.gitlab.executor_records import Work

NO_ENGINE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
NO_IMAGE = "no image specified and no default image provided"
# When a container that never ran was started, as the engine has it.
NEVER = "0001-01-01"


@dataclass(frozen=True)
class Rights:
    """What job containers may do beyond the engine's default: the runner's `cap_add` and `security_opt`."""

    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()

    def options(self) -> list[str]:
        """The engine's own options."""
        capabilities = [word for one in self.cap_add for word in ("--cap-add", one)]
        return [*capabilities, *(word for one in self.security_opt for word in ("--security-opt", one))]


NO_RIGHTS = Rights()


@dataclass(frozen=True)
class ContainerPlace:
    """Implements `executor_local.Place`: each script in a new container of the same image."""

    engine: Engine
    work: Work
    folder: Path
    directory: str
    options: tuple[str, ...]

    async def run(self, text: str, output: Output) -> int:
        """The exit code of the script in a container that is gone afterwards, also where the job is cancelled."""
        name = f"greenrun-job-{self.work.ticket.id}-{os.urandom(4).hex()}"
        options = ["--interactive", "--name", name, "--workdir", self.directory, *self._mounts(), *self.options]
        argv = [self.engine.program, "start", "--attach", "--interactive", name]
        try:
            await self.engine.call("create", *options, *self._image(), "sh", "-c", DETECT)
            code = await executor_process.run(argv, output, stdin=text.encode(), environment=self.engine.environment)
            refusal = await self._never_started(name) if code else ""
        except (EngineFailed, TimeoutError) as error:
            code, refusal = 1, str(error) or "context deadline exceeded"
        finally:
            await self.engine.removed(name)
        if refusal:
            await self.work.say(trace.end("step_script") + trace.system_failure(refusal))
            raise NotPrepared
        return code

    async def _never_started(self, name: str) -> str:
        """The engine's own words where nothing of the image ran; empty where something did."""
        shown = await self.engine.call("inspect", "--format", "{{.State.StartedAt}} {{.State.Error}}", name)
        started, _, error = shown.partition(" ")
        return error or "the container did not start" if started.startswith(NEVER) else ""

    def _mounts(self) -> list[str]:
        pairs = {"checkout": self.directory, "checkout.tmp": f"{self.directory}.tmp"}
        there = {name: inside for name, inside in pairs.items() if (self.folder / name).exists()}
        return [word for name, inside in there.items() for word in ("--volume", f"{self.folder / name}:{inside}")]

    def _image(self) -> list[str]:
        """The image behind its entrypoint; an empty one means none, as GitLab has it."""
        given = [part for part in self.work.job.entrypoint or () if part]
        image = str(self.work.job.image)
        if self.work.job.entrypoint is None:
            return [image]
        return ["--entrypoint", given[0] if given else "", image, *given[1:]]


class Containers:
    """Makes the places of the jobs of one pipeline."""

    def __init__(self, registry: str | None = None, rights: Rights = NO_RIGHTS, engine: Engine | None = None) -> None:
        """With an engine, else the first one that answers when a job begins; `registry` is host:port."""
        self._registry = registry
        self._rights = rights
        self._engine = engine

    @asynccontextmanager
    async def place(self, work: Work, folder: Path) -> AsyncIterator[ContainerPlace]:
        """The job's image pulled and its services started; NotPrepared where that fails, in the engine's words."""
        engine = self._engine or await find_engine()
        if engine is None or work.job.image is None:
            words = NO_ENGINE if engine is None else NO_IMAGE
            await work.say(trace.system_failure(f"prepare environment: {words}"))
            raise NotPrepared
        self._engine = engine
        await work.say(trace.begin("prepare_executor", 'Preparing the "docker" executor'))
        await work.say(f"{trace.CLEAR}Using Docker executor with image {work.job.image} ...{trace.RESET}\n")
        async with AsyncExitStack() as stack:
            joined = await self._surroundings(engine, work, stack)
            await _pull(engine, work, work.job.image)
            await work.say(trace.end("prepare_executor"))
            where = f"Running on runner-sandbox-project-{work.ticket.project}-concurrent-0 via {engine.program}...\n"
            await work.say(trace.section("prepare_script", "Preparing environment", where))
            directory = f"/builds/{work.job.variables.get('CI_PROJECT_PATH', 'project')}"
            yield ContainerPlace(engine, work, folder, directory, (*joined, *self._rights.options()))

    async def _surroundings(self, engine: Engine, work: Work, stack: AsyncExitStack) -> Sequence[str]:
        """The job's network with all that it has to find there, as the engine's options; none where it needs none."""
        ports = _on_loopback(self._registry, urlsplit(work.job.variables.get("CI_SERVER_URL", "")).netloc)
        if not (ports or work.job.services):
            return ()
        try:
            around = await network(engine, work, ports, stack)
            for image, details in zip(work.job.services, work.job.service_details, strict=True):
                await work.say(f"{trace.CLEAR}Starting service {image} ...{trace.RESET}\n")
                await _pull(engine, work, image)
                await service(engine, work, around, image, details, stack)
        except (EngineFailed, OSError, TimeoutError) as error:
            await work.say(trace.end("prepare_executor") + trace.system_failure(str(error)))
            raise NotPrepared from error
        return ("--network", around.joined)


def _on_loopback(*addresses: str | None) -> list[int]:
    """The ports of those addresses (host:port) that lie on this machine's loopback."""
    pairs = (address.rpartition(":") for address in addresses if address)
    return sorted({int(port) for host, _, port in pairs if host in {LOOPBACK, "localhost"} and port.isdecimal()})


async def _pull(engine: Engine, work: Work, image: str) -> None:
    """The image, always asked for anew; NotPrepared with the engine's refusal in GitLab's words."""
    try:
        await engine.call("pull", "--quiet", image)
    except (EngineFailed, TimeoutError) as error:
        warning, words = trace.pull_failed(image, str(error) or "context deadline exceeded")
        await work.say(warning + trace.end("prepare_executor") + words)
        raise NotPrepared from error
    digests = "{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}"
    named = await engine.call("image", "inspect", "--format", digests, image)
    await work.say(trace.pulled(image, named.rpartition("@")[2]))
