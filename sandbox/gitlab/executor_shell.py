"""The place `shell`: bash on this machine, in an environment that has nothing of this machine's but its programs."""

from __future__ import annotations

import os
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from sandbox.gitlab import executor_process
from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.executor_images import MANIFEST_TYPES, SECONDS, Images
from sandbox.gitlab.executor_local import NotPrepared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from sandbox.gitlab.executor_local import Output
    from sandbox.gitlab.executor_records import Work

SHELL = ("bash", "--norc", "--noprofile")


@dataclass(frozen=True)
class ShellPlace:
    """Implements `executor_local.Place`."""

    directory: str
    environment: dict[str, str]

    async def run(self, text: str, output: Output) -> int:
        """The script in a bash of its own, in a process group of its own."""
        return await executor_process.run(SHELL, output, stdin=text.encode(), environment=self.environment)


class Shell:
    """Makes the places of the jobs of one pipeline."""

    def __init__(self, registry: str | None, passed: Sequence[str] = ()) -> None:
        """`passed` are the variables of this machine's environment that jobs may see."""
        self._registry = registry
        self._passed = passed

    @asynccontextmanager
    async def place(self, work: Work, folder: Path) -> AsyncIterator[ShellPlace]:
        """A home and a folder for temporary files of the job's own. NotPrepared where its image cannot be pulled."""
        await self._prepared(work)
        home, scratch = folder / "home", folder / "tmp"
        home.mkdir()
        scratch.mkdir()
        environment = {name: os.environ[name] for name in ("PATH", *self._passed) if name in os.environ}
        environment |= {"HOME": str(home), "TMPDIR": str(scratch), "LANG": "C.UTF-8", "SHELL": "/bin/bash"}
        environment |= {"USER": "gitlab-runner", "LOGNAME": "gitlab-runner"}
        where = f"Running on {socket.gethostname()}...\n"
        await work.say(trace.section("prepare_script", "Preparing environment", where))
        yield ShellPlace(str(folder / "checkout"), environment)

    async def _prepared(self, work: Work) -> None:
        """Images are looked for and not used: a shell has none, but one that was not seeded stays an error."""
        body = f"{trace.CLEAR}Using Shell (bash) executor...{trace.RESET}\n"
        if work.job.services:
            names = ", ".join(work.job.services)
            body += trace.note(f"The shell starts no services; the job has to do without: {names}")
        failed = await self._refusal(work)
        title = 'Preparing the "shell" executor'
        await work.say(trace.section("prepare_executor", title, body + (failed[0] if failed else "")))
        if failed:
            await work.say(failed[1])
            raise NotPrepared

    async def _refusal(self, work: Work) -> tuple[str, str] | None:
        """What is said of the first image that cannot be pulled; None where there is no registry to ask."""
        if self._registry is None:
            return None
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, headers={"Accept": MANIFEST_TYPES}) as session:
            images = Images(self._registry, session)
            for wanted in (*work.job.services, *([work.job.image] if work.job.image else [])):
                pulled = await images.pull(wanted)
                if pulled.refusal:
                    return trace.pull_failed(wanted, pulled.refusal)
        return None
