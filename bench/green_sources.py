"""Where the projects of `make green` come from: source distributions, npm's packages, folders of this repository."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tarfile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.green_upstream import CACHE, ROOT
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.green_projects import Project, Source

PROJECTS = ROOT / "bench" / "projects"
GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Green"), ("EMAIL", "green@example.com"))
    },
}


async def checkout(project: Project, scratch: Path) -> Path:
    """The project's files as its user has them, broken as the table says."""
    folder = scratch / project.name
    if isinstance(project.source, str):
        shutil.copytree(PROJECTS / project.source, folder)
    else:
        archive = await _fetched(project.source)
        with tarfile.open(archive) as packed:
            packed.extractall(scratch / "unpacked", filter="data")
        [top] = (scratch / "unpacked").iterdir()
        shutil.copytree(top / project.source.subfolder, folder)
    if project.change:
        project.change(folder)
    return folder


async def _fetched(source: Source) -> Path:
    """The archive, from its registry by the registry's own client; GreenrunError where it is not the pinned one."""
    place = CACHE / "sources" / source.sha256
    if not place.is_file():
        folder = CACHE / "fetching" / source.sha256
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        commands = {
            "pypi": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", source.name],
            "npm": ["npm", "pack", "--silent", source.name],
        }
        await _run(commands[source.registry], folder, os.environ)
        [archive] = [path for path in folder.iterdir() if path.suffix in {".gz", ".tgz"}]
        if (digest := hashlib.sha256(archive.read_bytes()).hexdigest()) != source.sha256:
            raise GreenrunError(f"{source.name} has the digest {digest}, not the pinned one")
        place.parent.mkdir(parents=True, exist_ok=True)
        archive.rename(place)
    return place


async def push(folder: Path, url: str, token: str) -> None:
    """The folder as the first commit of the default branch, modes included, as a user pushes it."""
    address = urlsplit(url)._replace(netloc=f"green:{token}@{urlsplit(url).netloc}").geturl()
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all", "--force"),
        ("commit", "--quiet", "--message=The project"),
        ("push", "--quiet", address, "main"),
    ):
        await _run(["git", *arguments], folder, {"PATH": os.environ["PATH"], **GIT})


async def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=dict(environment),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        raise GreenrunError(f"{command[0]} failed: {said.decode(errors='replace').strip()[-600:]}")
