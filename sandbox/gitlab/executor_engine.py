"""The command line of a container engine, Docker or Podman."""

from __future__ import annotations

import asyncio
import os
import shutil

ENGINES = ("docker", "podman")
ENGINE_SECONDS = 300.0
CLIENT = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "XDG_RUNTIME_DIR")


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

    async def removed(self, container: str) -> None:
        """The container is gone with its volumes, whatever state it was in."""
        await self.quietly("rm", "--force", "--volumes", container)

    async def quietly(self, *arguments: str) -> None:
        """Clean up also while the job is being cancelled; an error of it changes nothing."""
        task = asyncio.ensure_future(asyncio.gather(self.call(*arguments), return_exceptions=True))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise


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
