"""The checkout of a job: a fetch of its commit into a new repository, as deep as GIT_DEPTH says."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from sandbox.gitlab import executor_trace as trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEPTH = "20"
SECONDS = 120.0


class CheckoutFailed(Exception):  # noqa: N818 - what happened
    """git could not fetch the commit; the text is its own."""


async def checkout(repository: Path, root: Path, environment: Mapping[str, str]) -> str:
    """The commit of the job in `root`; what a runner says of it."""
    sha, depth = environment["CI_COMMIT_SHA"], environment.get("GIT_DEPTH", DEPTH)
    deep = [] if depth == "0" or not depth.isdigit() else [f"--depth={depth}"]
    await _git(None, "init", "--quiet", "--initial-branch=none", str(root))
    await _git(root, "fetch", "--quiet", *deep, f"file://{repository}", sha)
    await _git(root, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", sha)
    address = f"{environment['CI_SERVER_URL']}/{environment['CI_PROJECT_PATH']}.git"
    await _git(root, "remote", "add", "origin", address)
    shown = f"{environment['CI_COMMIT_SHORT_SHA']} as detached HEAD (ref is {environment['CI_COMMIT_REF_NAME']})"
    return (
        f"{trace.GREEN}Fetching changes with git depth set to {depth}...{trace.RESET}\n"
        f"Initialized empty Git repository in {environment['CI_PROJECT_DIR']}/.git/\n"
        f"{trace.GREEN}Created fresh repository.{trace.RESET}\n"
        f"{trace.GREEN}Checking out {shown}...{trace.RESET}\n\n"
        f"{trace.GREEN}Skipping Git submodules setup{trace.RESET}\n"
    )


async def _git(root: Path | None, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("git", *(["-C", str(root)] if root else []), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        umask=0,  # as the runner's: an image with a user of its own writes into the checkout
        env={"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull},
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise CheckoutFailed(said.decode(errors="replace").strip())
