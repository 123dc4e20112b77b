"""Real bare git repositories: what the API reads and writes goes through git's own plumbing."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GIT_SECONDS = 60.0
# GitLab takes `git push -o`; what the options say is not heeded here.
PUSH_OPTIONS = "receive.advertisePushOptions"
FIELD, RECORD = "\x1f", "\x1e"
LOG_FORMAT = FIELD.join(["%H", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", "%B"]) + RECORD


class GitFailed(Exception):  # noqa: N818 - what happened
    """git exited with an error; the text is its own."""


@dataclass(frozen=True)
class Action:
    """One change of a commit, as the API takes it."""

    action: str
    path: str
    content: bytes = b""
    previous_path: str | None = None
    executable: bool | None = None


@dataclass(frozen=True)
class Author:
    """Who writes a commit."""

    name: str
    email: str


@dataclass(frozen=True)
class CommitInfo:
    """A commit, with its times as git prints them (ISO 8601)."""

    sha: str
    parents: tuple[str, ...]
    author: Author
    authored: str
    committer: Author
    committed: str
    message: str

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]


class Refused(Exception):  # noqa: N818 - the answer is 400
    """The change cannot be made; the text is GitLab's."""


class Repository:
    """One bare repository."""

    def __init__(self, path: Path) -> None:
        """At a folder that `create` makes."""
        self.path = path

    async def create(self, default_branch: str) -> None:
        """Make it, empty; clones may be partial, as on GitLab."""
        await _git(None, "init", "--quiet", "--bare", f"--initial-branch={default_branch}", str(self.path))
        for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.receivepack", PUSH_OPTIONS):
            await self.git("config", key, "true")

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self.path, ignore_errors=True)

    async def git(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """The standard output of one git command in this repository; GitFailed where it exits with an error."""
        return await _git(self.path, *arguments, stdin=stdin, env=env)

    async def resolve(self, ref: str) -> str | None:
        """The commit that a branch, tag or sha names; None where there is none."""
        if not ref or ref.startswith("-"):
            return None
        for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", ref):
            try:
                found = await self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            except GitFailed:
                continue
            return found.decode().strip()
        return None

    async def branches(self) -> dict[str, str]:
        """Branch → sha."""
        listed = await self.git("for-each-ref", "--format=%(refname:strip=2) %(objectname)", "refs/heads")
        pairs = (line.rpartition(" ") for line in listed.decode().splitlines())
        return {name: sha for name, _, sha in pairs}

    async def delete_branch(self, name: str) -> None:
        """Remove a branch."""
        await self.git("update-ref", "-d", f"refs/heads/{name}")

    async def create_branch(self, name: str, sha: str) -> None:
        """Point a new branch at a commit; Refused where it exists."""
        try:
            await self.git("update-ref", f"refs/heads/{name}", sha, "0" * 40)
        except GitFailed as error:
            raise Refused("Branch already exists") from error

    async def tree(self, sha: str) -> dict[str, str]:
        """Path → mode of all files at a commit."""
        listed = await self.git("ls-tree", "-r", "-z", sha)
        rows = (row.split("\t", 1) for row in listed.decode(errors="surrogateescape").split("\0") if row)
        return {path: meta.split(" ", 1)[0] for meta, path in rows}

    async def read(self, sha: str, path: str) -> bytes | None:
        """A file's content at a commit; None where it is not there."""
        try:
            return await self.git("cat-file", "blob", f"{sha}:{path}")
        except GitFailed:
            return None

    async def log(self, ref: str, *, path: str | None = None, limit: int = 1000) -> list[CommitInfo]:
        """The commits of a ref, newest first."""
        arguments = ["log", f"--format={LOG_FORMAT}", f"--max-count={limit}", ref, "--"]
        listed = await self.git(*arguments, *([path] if path else []))
        return [_commit(record) for record in listed.decode(errors="replace").split(RECORD) if record.strip()]

    async def commit(
        self, branch: str, parent: str | None, actions: Sequence[Action], message: str, author: Author
    ) -> str:
        """One commit on a branch with all actions; its sha. Refused in GitLab's words where an action does not fit."""
        modes = await self.tree(parent) if parent else {}
        with tempfile.TemporaryDirectory() as scratch:
            env = {"GIT_INDEX_FILE": str(Path(scratch) / "index"), **_identity(author)}
            if parent:
                await self.git("read-tree", parent, env=env)
            for action in actions:
                await self._apply(action, modes, parent, env)
            tree = (await self.git("write-tree", env=env)).decode().strip()
            parents = ["-p", parent] if parent else []
            made = await self.git("commit-tree", tree, *parents, stdin=message.encode(), env=env)
        sha = made.decode().strip()
        old = (await self.branches()).get(branch, "0" * 40)
        if parent is not None and old not in (parent, "0" * 40):
            raise Refused("Could not update refs/heads/" + branch + ". Please refresh and try again.")
        try:
            await self.git("update-ref", f"refs/heads/{branch}", sha, old)
        except GitFailed as error:
            raise Refused(f"Could not update refs/heads/{branch}. Please refresh and try again.") from error
        return sha

    async def _apply(self, action: Action, modes: dict[str, str], parent: str | None, env: Mapping[str, str]) -> None:
        """One action in the index; `modes` follows, so that later actions see it."""
        path = action.path
        if not path or path.startswith("/") or ".." in Path(path).parts or ".git" in Path(path).parts:
            raise Refused("invalid path")
        source = action.previous_path if action.action == "move" else path
        if action.action == "create" and path in modes:
            raise Refused("A file with this name already exists")
        if action.action != "create" and source not in modes:
            raise Refused("A file with this name doesn't exist")
        mode = modes.get(source or path, "100644")
        if action.executable is not None:
            mode = "100755" if action.executable else "100644"
        if action.action in {"delete", "move"}:
            # `--force-remove` asks for a work tree, which a bare repository has not; mode 0 removes without one.
            gone = f"0 {'0' * 40}\t{source or path}\0".encode()
            await self.git("update-index", "-z", "--index-info", stdin=gone, env=env)
            del modes[source or path]
        if action.action == "delete":
            return
        content = action.content
        if action.action in {"chmod", "move"} and not content:
            content = await self.read(parent or "", source or path) or b""
        blob = (await self.git("hash-object", "-w", "--stdin", stdin=content)).decode().strip()
        await self.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", env=env)
        modes[path] = mode


async def _git(where: Path | None, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "git",
        *([f"--git-dir={where}"] if where else []),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, **(env or {})},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin), GIT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise GitFailed(err.decode(errors="replace").strip())
    return out


def _identity(author: Author) -> dict[str, str]:
    names = {"GIT_AUTHOR_NAME": author.name, "GIT_AUTHOR_EMAIL": author.email}
    return names | {"GIT_COMMITTER_NAME": author.name, "GIT_COMMITTER_EMAIL": author.email}


def _commit(record: str) -> CommitInfo:
    sha, parents, name, email, authored, by, by_email, committed, message = record.lstrip("\n").split(FIELD, 8)
    return CommitInfo(
        sha=sha,
        parents=tuple(parents.split()),
        author=Author(name, email),
        authored=datetime.fromisoformat(authored).isoformat(timespec="milliseconds"),
        committer=Author(by, by_email),
        committed=datetime.fromisoformat(committed).isoformat(timespec="milliseconds"),
        message=message.rstrip("\n"),
    )
