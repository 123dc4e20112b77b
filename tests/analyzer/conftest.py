"""A GitLab with a repository for the analyzer to read, and the real git to fill it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.gitlab.server import GitLabServer, serve
from services.analyzer import detect
from services.analyzer.settings import Settings
from shared.adapters.git import GitSource
from shared.ports import Snapshot, TreeEntry

TOKEN = "glpat-analyzer"


@dataclass(frozen=True)
class Forge:
    """A GitLab with one repository."""

    server: GitLabServer
    url: str

    def source(self, **changes: Any) -> GitSource:
        """The reader, as the analyzer makes it."""
        values = {"gitlab_url": self.server.url, "gitlab_token": TOKEN, **changes}
        settings = Settings(**values)
        return GitSource(settings, settings, detect.is_manifest, detect.is_source)


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[Forge]:
    """The server, listening."""
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as server:
        files = {"app.py": b"x = 1\n", "requirements.txt": b"flask\n", "docs/a.md": b"words"}
        project = await server.create_project("team/shop", files=files)
        yield Forge(server, str(project["http_url_to_repo"]))


async def git(work: Path, *arguments: str) -> None:
    """In a thread: the server that git talks to runs in this process."""
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}

    def run() -> None:
        subprocess.run(
            ["git", *arguments], cwd=work, check=True, capture_output=True, env=os.environ | names, timeout=30
        )

    await asyncio.to_thread(run)


def snapshot_of(files: dict[str, str]) -> Snapshot:
    """A repository with these files."""
    tree = tuple(TreeEntry(path, len(text.encode())) for path, text in files.items())
    contents = {path: text.encode() for path, text in files.items() if detect.is_manifest(path)}
    return Snapshot("0" * 40, tree, contents)


async def clone(forge: Forge, tmp_path: Path) -> Path:
    """A working copy of the repository."""
    url = forge.url.replace("http://", f"http://u:{TOKEN}@")
    await git(tmp_path, "clone", "-q", url, "work")
    return tmp_path / "work"


async def push(forge: Forge, tmp_path: Path, files: dict[str, str], *, branch: str) -> None:
    """These files on a branch of their own."""
    work = await clone(forge, tmp_path)
    for path, text in files.items():
        (work / path).write_text(text)
    for argv in (["checkout", "-qb", branch], ["add", "-A"], ["commit", "-qm", "x"], ["push", "-q", "origin", branch]):
        await git(work, *argv)
