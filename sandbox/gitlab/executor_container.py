"""The place `container`: every job in containers from its own image, with Docker or Podman; services beside it."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.gitlab import executor_process
from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.executor_local import NotPrepared
from sandbox.gitlab.executor_script import DETECT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from sandbox.gitlab.executor_local import Output
    from sandbox.gitlab.executor_records import Work

ENGINES = ("docker", "podman")
ENGINE_SECONDS = 300.0
CLIENT = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "XDG_RUNTIME_DIR")
NO_ENGINE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
NO_IMAGE = "no image specified and no default image provided"


class EngineFailed(Exception):  # noqa: N818 - what happened
    """The engine exited with an error; the text is its own last line."""


class Engine:
    """The command line of one container engine."""

    def __init__(self, program: str) -> None:
        """`docker` or `podman`, or the path of one."""
        self.program = program
        self.environment = {name: os.environ[name] for name in CLIENT if name in os.environ}

    async def call(self, *arguments: str) -> str:
        """What it prints; EngineFailed where it exits with an error."""
        process = await asyncio.create_subprocess_exec(
            *(self.program, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), ENGINE_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            lines = err.decode(errors="replace").strip().splitlines()
            raise EngineFailed(lines[-1] if lines else f"{self.program} exited with {process.returncode}")
        return out.decode(errors="replace").strip()


async def find_engine() -> Engine | None:
    """An engine that answers; None where there is none."""
    for program in ENGINES:
        if shutil.which(program):
            engine = Engine(program)
            try:
                await engine.call("version", "--format", "{{.Server.Version}}")
            except (EngineFailed, OSError, TimeoutError):
                continue
            return engine
    return None


@dataclass(frozen=True)
class ContainerPlace:
    """Implements `executor_local.Place`: each script in a new container of the same image."""

    engine: Engine
    work: Work
    folder: Path
    directory: str
    network: str | None

    async def run(self, text: str, output: Output) -> int:
        """The exit code of the script in a container that is gone afterwards, also where the job is cancelled."""
        name = f"greenrun-job-{self.work.ticket.id}-{os.urandom(4).hex()}"
        argv = [self.engine.program, "run", "--rm", "-i", "--name", name, "--workdir", self.directory]
        argv += [*self._mounts(), *(["--network", self.network] if self.network else [])]
        argv += [*self._image(), "sh", "-c", DETECT]
        try:
            return await executor_process.run(argv, output, stdin=text.encode(), environment=self.engine.environment)
        finally:
            await _removed(self.engine, name)

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

    def __init__(self, engine: Engine | None = None) -> None:
        """With an engine, else the first one that answers when a job begins."""
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
            network = await _services(engine, work, stack)
            await _pull(engine, work, work.job.image)
            await work.say(trace.end("prepare_executor"))
            where = f"Running on runner-sandbox-project-{work.ticket.project}-concurrent-0 via {engine.program}...\n"
            await work.say(trace.section("prepare_script", "Preparing environment", where))
            directory = f"/builds/{work.job.variables.get('CI_PROJECT_PATH', 'project')}"
            yield ContainerPlace(engine, work, folder, directory, network)


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


async def _services(engine: Engine, work: Work, stack: AsyncExitStack) -> str | None:
    """A network with the services of the job under their names; None where it has none."""
    if not work.job.services:
        return None
    network = f"greenrun-net-{work.ticket.id}-{os.urandom(4).hex()}"
    try:
        await engine.call("network", "create", network)
        stack.push_async_callback(_call_quietly, engine, "network", "rm", network)
        for image, details in zip(work.job.services, work.job.service_details, strict=True):
            await work.say(f"{trace.CLEAR}Starting service {image} ...{trace.RESET}\n")
            await _pull(engine, work, image)
            await _service(engine, work, network, image, details, stack)
    except EngineFailed as error:
        await work.say(trace.end("prepare_executor") + trace.system_failure(str(error)))
        raise NotPrepared from error
    return network


async def _service(
    engine: Engine, work: Work, network: str, image: str, details: Mapping[str, Any], stack: AsyncExitStack
) -> None:
    name = f"greenrun-service-{work.ticket.id}-{os.urandom(4).hex()}"
    aliases = [word for alias in service_aliases(image, details) for word in ("--network-alias", alias)]
    variables = {**work.job.variables, **(details.get("variables") or {})}
    given = [word for key, value in variables.items() for word in ("--env", f"{key}={value}")]
    entrypoint = [str(one) for one in details.get("entrypoint") or ()]
    command = [*entrypoint[1:], *map(str, details.get("command") or ())]
    behind = ["--entrypoint", entrypoint[0]] if entrypoint else []
    stack.push_async_callback(_removed, engine, name)
    options = ["--detach", "--name", name, "--network", network, *aliases, *given, *behind]
    await engine.call("run", *options, image, *command)
    if await engine.call("inspect", "--format", "{{.State.Running}}", name) != "true":
        logs = await engine.call("logs", name)
        await work.say(trace.warning(f"Service {image} probably didn't start properly.\n\n{logs}"))


def service_aliases(image: str, details: Mapping[str, Any]) -> list[str]:
    """The names under which a service is reached: its alias, else two that follow from the image's name."""
    if details.get("alias"):
        return str(details["alias"]).replace(",", " ").split()
    name = image.partition("@")[0]
    host, slash, path = name.partition("/")
    plain = path if slash and ("." in host or ":" in host) else name
    plain = plain.partition(":")[0]
    return list(dict.fromkeys([plain.replace("/", "__"), plain.replace("/", "-")]))


async def _removed(engine: Engine, name: str) -> None:
    await _call_quietly(engine, "rm", "--force", "--volumes", name)


async def _call_quietly(engine: Engine, *arguments: str) -> None:
    """Clean up also while the job is being cancelled; an error of it changes nothing."""
    task = asyncio.ensure_future(asyncio.gather(engine.call(*arguments), return_exceptions=True))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
