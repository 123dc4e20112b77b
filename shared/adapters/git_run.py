"""One git under guard: a bare repository in a folder of its own, with limits of time, bytes and memory."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from shared.adapters import git_policy
from shared.errors import Reject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from shared.adapters.git_policy import Remote
    from shared.settings import SourceSettings

WATCH_SECONDS = 0.25

T = TypeVar("T")


@dataclass(frozen=True)
class Clone:
    """One repository on its way: where from, which ref, the bare repository, git's environment and the limits."""

    remote: Remote
    ref: str | None
    folder: Path
    env: Mapping[str, str]
    settings: SourceSettings

    async def init(self) -> None:
        """Make the bare repository."""
        await run(["git", "init", "--quiet", "--bare", str(self.folder)], self.env)

    async def fetch(self, arguments: list[str], asked: str = "") -> None:
        """One fetch into the bare repository; what git says at its end is translated."""
        code, _, words = await self.git(arguments, asked=asked)
        if code:
            raise git_policy.translated(words, self.remote, self.ref)
        await self.check_bytes()

    async def git(
        self, arguments: list[str], *, asked: str = "", env: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Exit code, standard output and last words of one git command in the repository."""
        command = [*self._bounded(), "git", f"--git-dir={self.folder}", *arguments]
        return await run(command, env or self.env, asked)

    def _bounded(self) -> list[str]:
        """What stands before git: a few bytes on the wire can unpack to objects of any size."""
        program = shutil.which("prlimit")
        return [program, f"--as={self.settings.clone_max_memory}"] if program else []

    async def check_bytes(self) -> None:
        """Reject where the repository takes more on disk than it may."""
        limit = self.settings.clone_max_bytes
        if await asyncio.to_thread(_bytes_below, self.folder) > limit:
            raise Reject(
                f"{self.remote.url} is larger than the limit CLONE_MAX_BYTES={limit}; raise it if that is meant"
            )

    async def limit(self) -> None:
        """Raise when the work has taken too long or too much; runs beside it."""
        seconds = self.settings.clone_timeout
        deadline = asyncio.get_running_loop().time() + seconds
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(WATCH_SECONDS, left))
            await self.check_bytes()
        raise Reject(f"cloning {self.remote.url} takes longer than the limit CLONE_TIMEOUT={seconds} s")


async def guarded(
    remote: Remote,
    ref: str | None,
    env: Mapping[str, str],
    settings: SourceSettings,
    work: Callable[[Clone], Awaitable[T]],
) -> T:
    """What the work with a clone returns, within the limits; its folder is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="greenrun-clone-", ignore_cleanup_errors=True) as name:
        clone = Clone(remote, ref, Path(name), env, settings)
        watching = asyncio.create_task(clone.limit())
        working = asyncio.ensure_future(work(clone))
        try:
            await asyncio.wait({watching, working}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            return await working
        finally:
            watching.cancel()
            working.cancel()
            await asyncio.gather(watching, working, return_exceptions=True)


async def run(command: list[str], env: Mapping[str, str], asked: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and last words; with the task the whole process group ends."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, words = await process.communicate(asked.encode())
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, out.decode(errors="replace"), words.decode(errors="replace")


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
