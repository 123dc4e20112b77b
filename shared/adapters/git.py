"""Remote repositories through git, without checking anything out: a shallow bare fetch, then the object database.

The first fetch asks for the tree alone; the manifests, and a sample of the sources for the statistics, come in a
second one. A server that does not filter sends everything at once. What is fetched is untrusted: git runs without the
system's and the user's configuration, without hooks, submodules, LFS and redirects, over http(s) and ssh only; the
token goes to GitLab's own host alone, through the environment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shared.adapters import git_policy, git_run
from shared.adapters.git_objects import Objects
from shared.adapters.git_policy import SCP_LIKE
from shared.errors import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.adapters.git_run import Clone
    from shared.ports import Snapshot
    from shared.settings import GitLabSettings, SourceSettings

__all__ = ["SCP_LIKE", "GitSource"]

FETCH = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
# Without the entry of a promisor no command fetches on its own what is not here.
PLAIN_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"


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
        git_policy.check_ref(ref)
        remote = git_policy.allowed(url, self._settings, self._gitlab)
        await git_policy.check_addresses(remote, self._settings)
        env = git_policy.environment(remote, self._settings, self._gitlab)
        return await git_run.guarded(remote, ref, env, self._settings, self._read)

    async def _read(self, clone: Clone) -> Snapshot:
        await clone.init()
        await clone.fetch([*FETCH, "--filter=blob:none", "--", clone.remote.url, clone.ref or "HEAD"])
        (clone.folder / "config").write_text(PLAIN_CONFIG)
        objects = await asyncio.to_thread(Objects.read, clone.folder, self._settings)
        missing = objects.missing(self._wanted, self._counted)
        if missing:
            objects = await self._complete(clone, objects, missing)
        return await asyncio.to_thread(objects.snapshot, self._wanted, self._settings)

    async def _complete(self, clone: Clone, objects: Objects, missing: Sequence[str]) -> Objects:
        """The objects with these blobs; of a server that gives no single blobs, with all."""
        single = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--stdin", "--", clone.remote.url]
        try:
            await clone.fetch(single, "\n".join(missing))
        except Reject as refusal:
            if "unadvertised" not in refusal.evidence:
                raise
            await clone.fetch([*FETCH, "--refetch", "--", clone.remote.url, clone.ref or "HEAD"])
            return await asyncio.to_thread(Objects.read, clone.folder, self._settings)
        return await asyncio.to_thread(Objects.read, clone.folder, self._settings, objects.sha)
