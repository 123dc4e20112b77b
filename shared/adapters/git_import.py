"""Import a repository into a project of GitLab: fetch one branch with its history, push it over smart HTTP.

The fetch is under the same policies and limits as every clone (`git_policy`); the push goes to GITLAB_URL alone, and
only it has the token. It asks GitLab for no pipeline: what comes is the repository as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.adapters import git_policy, git_run
from shared.errors import Reject, Retry

if TYPE_CHECKING:
    from shared.adapters.git_run import Clone
    from shared.settings import GitLabSettings, SourceSettings

FETCH = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
PUSH = ("push", "--quiet", "--no-verify", "-o", "ci.skip")
DEFAULT = re.compile(r"^ref: refs/heads/(\S+)\tHEAD$", re.MULTILINE)
FALLBACK = "main"
REFUSED = re.compile(r"not allowed|forbidden|error: 40[13]|protected branch|Authentication failed|pre-receive hook")


class GitImport:
    """Implements `shared.ports.Importer`."""

    def __init__(self, settings: SourceSettings, gitlab: GitLabSettings) -> None:
        """With the limits of a clone, and where GitLab is."""
        self._settings = settings
        self._gitlab = gitlab

    async def push(self, url: str, ref: str | None, project_path: str) -> str:
        """The name of the branch: `ref`, or the default branch, with its whole history, pushed without a pipeline.

        Raises Reject where the policy, a limit or one of the sides says no, Retry where one does not answer.
        """
        git_policy.check_ref(ref)
        remote = git_policy.allowed(url, self._settings, self._gitlab)
        await git_policy.check_addresses(remote, self._settings)
        env = git_policy.environment(remote, self._settings, self._gitlab)

        async def bring(clone: Clone) -> str:
            await clone.init()
            branch = await self._branch(clone)
            await clone.fetch([*FETCH, "--", remote.url, f"+{ref or 'HEAD'}:refs/heads/{branch}"])
            await self._push(clone, branch, project_path)
            return branch

        return await git_run.guarded(remote, ref, env, self._settings, bring)

    async def _branch(self, clone: Clone) -> str:
        """What the branch is called at its source; a tag or a commit comes under the name of the default branch."""
        code, listed, words = await clone.git(["ls-remote", "--symref", "--", clone.remote.url])
        if code:
            raise git_policy.translated(words, clone.remote, clone.ref)
        if clone.ref and f"\trefs/heads/{clone.ref}\n" in listed:
            return clone.ref
        found = DEFAULT.search(listed)
        return found[1] if found else FALLBACK

    async def _push(self, clone: Clone, branch: str, project_path: str) -> None:
        target = git_policy.allowed(
            f"{self._gitlab.gitlab_url.rstrip('/')}/{project_path}.git", self._settings, self._gitlab
        )
        env = git_policy.environment(target, self._settings, self._gitlab)
        arguments = [*PUSH, "--", target.url, f"refs/heads/{branch}:refs/heads/{branch}"]
        code, _, words = await clone.git(arguments, env=env)
        if code and REFUSED.search(words):
            advice = "the token needs write_repository (or api) and the role to push there"
            raise Reject(f"{target.url} does not take the branch {branch}: {advice}", evidence=words.strip()[-1000:])
        if code:
            last = words.strip().splitlines()[-1] if words.strip() else "git said nothing"
            raise Retry(f"{target.url} does not take the branch now: {last}")
