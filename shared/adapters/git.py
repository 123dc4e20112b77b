"""Remote repositories through git, without checking anything out: a shallow bare fetch, then the object database.

The first fetch asks for the tree alone; the manifests, and a sample of the sources for the statistics, come in a
second one. A server that does not filter sends everything at once. What is fetched is untrusted: git runs without the
system's and the user's configuration, without hooks, submodules, LFS and redirects, over http(s) and ssh only; the
token goes to GitLab's own host alone, through the environment.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.adapters import git_policy
from shared.adapters.git_objects import Objects
from shared.adapters.git_policy import SCP_LIKE
from shared.errors import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.adapters.git_policy import Remote
    from shared.ports import Snapshot
    from shared.settings import GitLabSettings, SourceSettings

__all__ = ["SCP_LIKE", "GitSource"]

WATCH_SECONDS = 0.25
FETCH = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
# Without the entry of a promisor no command fetches on its own what is not here.
PLAIN_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"


@dataclass(frozen=True)
class Clone:
    """One repository on its way: where from, which ref, the bare repository, and git's environment."""

    remote: Remote
    ref: str | None
    folder: Path
    env: dict[str, str]


class GitSource:
    """Implements `shared.ports.Source`."""

    def __init__(
        self,
        settings: SourceSettings,
        gitlab: GitLabSettings,
        wanted: Callable[[str], bool],
        counted: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`wanted` says of a path whether its content is to be read, `counted` whether its size matters."""
        self._settings = settings
        self._gitlab = gitlab
        self._wanted = wanted
        self._counted = counted

    async def read(self, url: str, ref: str | None) -> Snapshot:
        """The tree of `ref` (None: the default branch) and the content of its manifests.

        Raises Reject where the policy, a limit or the other side says no, Retry where the host does not answer.
        """
        if ref is not None and (ref.startswith("-") or not ref.isprintable() or " " in ref):
            raise Reject(f"{ref!r} is no name of a branch, tag or commit")
        remote = git_policy.allowed(url, self._settings, self._gitlab)
        await git_policy.check_addresses(remote, self._settings)
        with tempfile.TemporaryDirectory(prefix="greenrun-clone-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            watching = asyncio.create_task(self._limit(remote, folder))
            reading = asyncio.create_task(self._read(remote, ref, folder))
            try:
                await asyncio.wait({watching, reading}, return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    watching.result()
                return await reading
            finally:
                for task in (watching, reading):
                    task.cancel()
                await asyncio.gather(watching, reading, return_exceptions=True)

    async def _read(self, remote: Remote, ref: str | None, folder: Path) -> Snapshot:
        clone = Clone(remote, ref, folder, git_policy.environment(remote, self._settings, self._gitlab))
        await _run(["git", "init", "--quiet", "--bare", str(folder)], clone.env)
        await self._fetch(clone, [*FETCH, "--filter=blob:none", "--", remote.url, ref or "HEAD"])
        (folder / "config").write_text(PLAIN_CONFIG)
        objects = await asyncio.to_thread(Objects.read, folder, self._settings)
        missing = objects.missing(self._wanted, self._counted)
        if missing:
            objects = await self._complete(clone, objects, missing)
        return await asyncio.to_thread(objects.snapshot, self._wanted, self._settings)

    async def _complete(self, clone: Clone, objects: Objects, missing: Sequence[str]) -> Objects:
        """The objects with these blobs; of a server that gives no single blobs, with all."""
        single = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--stdin", "--", clone.remote.url]
        try:
            await self._fetch(clone, single, "\n".join(missing))
        except Reject as refusal:
            if "unadvertised" not in refusal.evidence:
                raise
            await self._fetch(clone, [*FETCH, "--refetch", "--", clone.remote.url, clone.ref or "HEAD"])
            return await asyncio.to_thread(Objects.read, clone.folder, self._settings)
        return await asyncio.to_thread(Objects.read, clone.folder, self._settings, objects.sha)

    async def _fetch(self, clone: Clone, arguments: list[str], asked: str = "") -> None:
        """One fetch into the bare repository; what git says at its end is translated."""
        command = [*self._bounded(), "git", f"--git-dir={clone.folder}", *arguments]
        code, words = await _run(command, clone.env, asked)
        if code:
            raise git_policy.translated(words, clone.remote, clone.ref)
        await self._check_bytes(clone.remote, clone.folder)

    def _bounded(self) -> list[str]:
        """What stands before git: a few bytes on the wire can unpack to objects of any size."""
        program = shutil.which("prlimit")
        return [program, f"--as={self._settings.clone_max_memory}"] if program else []

    async def _check_bytes(self, remote: Remote, folder: Path) -> None:
        limit = self._settings.clone_max_bytes
        if await asyncio.to_thread(_bytes_below, folder) > limit:
            raise Reject(f"{remote.url} is larger than the limit CLONE_MAX_BYTES={limit}; raise it if that is meant")

    async def _limit(self, remote: Remote, folder: Path) -> None:
        """Raise when the fetch has taken too long or too much; runs beside it."""
        seconds = self._settings.clone_timeout
        deadline = asyncio.get_running_loop().time() + seconds
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(WATCH_SECONDS, left))
            await self._check_bytes(remote, folder)
        raise Reject(f"cloning {remote.url} takes longer than the limit CLONE_TIMEOUT={seconds} s")


async def _run(command: list[str], env: dict[str, str], asked: str = "") -> tuple[int, str]:
    """Exit code and last words; with the task the whole process group ends."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, words = await process.communicate(asked.encode())
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, words.decode(errors="replace")


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
