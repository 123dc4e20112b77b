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

from sandbox.gitlab.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GIT_SECONDS = 60.0
PUSH_OPTIONS = "receive.advertisePushOptions"
# Writes the options of `git push -o`, one a line, where whoever runs git's backend wants them.
POST_RECEIVE = r"""#!/bin/sh
number=0
while [ "$number" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "printf '%s\\n' \"\$GIT_PUSH_OPTION_$number\""
  number=$((number + 1))
done > "${GREENRUN_PUSH_OPTIONS:-/dev/null}"
"""
FIELD, RECORD = "\x1f", "\x1e"
TRAILERS = "%(trailers:only=true,unfold=true,separator=%x1d,key_value_separator=%x1c)"
LOG_FORMAT = FIELD.join(["%H", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", TRAILERS, "%B"]) + RECORD
NOWHERE = "0" * 40
FOLDER = "040000"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git's own name for a tree without files
CHANGED_SINCE = "You are attempting to update a file that has changed since you started editing it."
KINDS = ("create", "update", "move", "delete", "chmod")


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
    last_commit_id: str | None = None


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
    trailers: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]


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
        hook = self.path / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(POST_RECEIVE)
        hook.chmod(0o755)

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
            if sha := await self._commit_of(name):
                return sha
        return None

    async def _commit_of(self, name: str) -> str | None:
        try:
            found = await self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitFailed:
            return None
        return found.decode().strip()

    async def named(self, ref: str) -> tuple[str, str] | None:
        """The full name and the commit of a branch or tag; None where there is none."""
        for full in (f"refs/heads/{ref}", f"refs/tags/{ref}", ref):
            if full.startswith(("refs/heads/", "refs/tags/")) and (sha := await self._commit_of(full)):
                return full, sha
        return None

    async def refs(self) -> dict[str, str]:
        """Full name → commit of all branches and tags."""
        fields = "--format=%(refname) %(objectname) %(*objectname)"
        listed = await self.git("for-each-ref", fields, "refs/heads", "refs/tags")
        rows = (line.split(" ") for line in listed.decode().splitlines())
        return {name: peeled or sha for name, sha, peeled in rows}

    async def branches(self) -> dict[str, str]:
        """Branch → sha."""
        listed = await self.git("for-each-ref", "--format=%(refname:strip=2) %(objectname)", "refs/heads")
        pairs = (line.rpartition(" ") for line in listed.decode().splitlines())
        return {name: sha for name, _, sha in pairs}

    async def delete_ref(self, ref: str) -> None:
        """Remove a ref, `refs/heads/…` or `refs/tags/…`."""
        await self.git("update-ref", "-d", ref)

    async def create_branch(self, name: str, sha: str) -> None:
        """Point a new branch at a commit; Refused where it exists or git does not take the name."""
        try:
            await self.git("check-ref-format", "--branch", name)
        except GitFailed as error:
            raise Refused("Branch name is invalid") from error
        try:
            await self.git("update-ref", f"refs/heads/{name}", sha, NOWHERE)
        except GitFailed as error:
            raise Refused("Branch already exists") from error

    async def entries(self, sha: str) -> dict[str, tuple[str, str]]:
        """Path → mode and object id of all files and folders at a commit, in git's order."""
        listed = await self.git("ls-tree", "-r", "-t", "-z", sha)
        rows = (row.split("\t", 1) for row in listed.decode(errors="surrogateescape").split("\0") if row)
        parts = ((meta.split(" "), path) for meta, path in rows)
        return {path: (mode, oid) for (mode, _, oid), path in parts}

    async def tree(self, sha: str) -> dict[str, str]:
        """Path → mode of all files at a commit."""
        return {path: mode for path, (mode, _) in (await self.entries(sha)).items() if mode != FOLDER}

    async def last_commit(self, ref: str, path: str) -> str | None:
        """The sha of the newest commit of a ref that changed the path; None where none did."""
        found = await self.git("log", "--format=%H", "--max-count=1", ref, "--", path)
        return found.decode().strip() or None

    async def read(self, sha: str, path: str) -> bytes | None:
        """A file's content at a commit; None where it is not there."""
        try:
            return await self.git("cat-file", "blob", f"{sha}:{path}")
        except GitFailed:
            return None

    async def read_all(self, sha: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Path → content of those files at a commit, in one go; paths with a line break are left out."""
        wanted = [path for path in paths if "\n" not in path]
        asked = "".join(f"{sha}:{path}\n" for path in wanted).encode(errors="surrogateescape")
        rest = await self.git("cat-file", "--batch", stdin=asked) if wanted else b""
        found: dict[str, bytes] = {}
        for path in wanted:
            head, _, rest = rest.partition(b"\n")
            if head.endswith(b" missing"):
                continue
            size = int(head.rsplit(b" ", 1)[1])
            found[path], rest = rest[:size], rest[size + 1 :]
        return found

    async def log(self, *revisions: str, path: str | None = None, limit: int = 1000) -> list[CommitInfo]:
        """The commits that the revisions (`main`, `a..b`) name, newest first."""
        arguments = ["log", f"--format={LOG_FORMAT}", f"--max-count={limit}", *revisions, "--"]
        listed = await self.git(*arguments, *([path] if path else []))
        return [_commit(record) for record in listed.decode(errors="replace").split(RECORD) if record.strip()]

    async def commit(
        self,
        branch: str,
        parent: str | None,
        actions: Sequence[Action],
        message: str,
        author: Author,
        *,
        force: bool = False,
    ) -> str:
        """One commit on a branch with all actions; its sha. Refused in GitLab's words where an action does not fit.

        `force` moves a branch that stands elsewhere onto the new commit.
        """
        modes = await self.tree(parent) if parent else {}
        with tempfile.TemporaryDirectory() as scratch:
            env = {"GIT_INDEX_FILE": str(Path(scratch) / "index"), **_identity(author)}
            if parent:
                await self.git("read-tree", parent, env=env)
            for action in actions:
                await self._check(action, modes, parent)
                await self._apply(action, modes, parent, env)
            tree = (await self.git("write-tree", env=env)).decode().strip()
            parents = ["-p", parent] if parent else []
            made = await self.git("commit-tree", tree, *parents, stdin=message.encode(), env=env)
        sha = made.decode().strip()
        old = (await self.branches()).get(branch, NOWHERE)
        if parent is not None and old not in (parent, NOWHERE) and not force:
            raise Refused(f"Could not update refs/heads/{branch}. Please refresh and try again.")
        await self.move_branch(branch, sha, old)
        return sha

    async def merge_commit(self, tree: str, parents: Sequence[str], message: str, author: Author) -> str:
        """A commit of a tree that is there already; its sha. No branch moves."""
        between = [word for parent in parents for word in ("-p", parent)]
        made = await self.git("commit-tree", tree, *between, stdin=message.encode(), env=_identity(author))
        return made.decode().strip()

    async def move_branch(self, branch: str, sha: str, old: str) -> None:
        """Point a branch at another commit; Refused where it is not at `old` any more."""
        try:
            await self.git("update-ref", f"refs/heads/{branch}", sha, old)
        except GitFailed as error:
            raise Refused(f"Could not update refs/heads/{branch}. Please refresh and try again.") from error

    async def _check(self, action: Action, modes: Mapping[str, str], parent: str | None) -> None:
        """Refused where the action does not fit what is there."""
        path = action.path
        if action.action not in KINDS:
            raise Refused(f"Unknown action '{action.action}'")
        if not path or path.startswith("/") or ".." in Path(path).parts or ".git" in Path(path).parts:
            raise Refused("invalid path")
        source = action.previous_path if action.action == "move" else path
        if action.action in {"create", "move"} and path in modes:
            raise Refused("A file with this name already exists")
        if action.action != "create" and source not in modes:
            raise Refused("A file with this name doesn't exist")
        if action.last_commit_id and parent and source:
            last = await self.last_commit(parent, source)
            if last is not None and last != await self.resolve(action.last_commit_id):
                raise Refused(CHANGED_SINCE)

    async def _apply(self, action: Action, modes: dict[str, str], parent: str | None, env: Mapping[str, str]) -> None:
        """One action in the index; `modes` follows, so that later actions see it."""
        path = action.path
        source = (action.previous_path if action.action == "move" else path) or path
        mode = modes.get(source, "100644")
        if action.executable is not None:
            mode = "100755" if action.executable else "100644"
        if action.action in {"delete", "move"}:
            # `--force-remove` asks for a work tree, which a bare repository has not; mode 0 removes without one.
            gone = f"0 {NOWHERE}\t{source}\0".encode()
            await self.git("update-index", "-z", "--index-info", stdin=gone, env=env)
            del modes[source]
        if action.action == "delete":
            return
        content = action.content
        if action.action in {"chmod", "move"} and not content:
            content = await self.read(parent or "", source) or b""
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
    fields = record.lstrip("\n").split(FIELD, 9)
    sha, parents, name, email, authored, by, by_email, committed, trailers, message = fields
    pairs = (line.partition("\x1c") for line in trailers.split("\x1d") if line.strip())
    return CommitInfo(
        sha=sha,
        parents=tuple(parents.split()),
        author=Author(name, email),
        authored=datetime.fromisoformat(authored).isoformat(timespec="milliseconds"),
        committer=Author(by, by_email),
        committed=datetime.fromisoformat(committed).isoformat(timespec="milliseconds"),
        message=message.rstrip("\n"),
        trailers=tuple((key.strip(), value.strip()) for key, _, value in pairs),
    )
