"""The world's registries on this machine: what `scripts/job-images.sh` has, under the full source names."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from sandbox.gitlab.executor_engine import find_engine
from sandbox.registry import serve_registry
from sandbox.registry_images import MANIFEST_TYPE
from shared.ci.references import parse
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sandbox.gitlab.executor_engine import Engine

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "sandbox" / "images"
# What Dockerfiles begin with, and no folder describes.
BESIDES = ("docker.io/library/debian:12-slim",)
CACHE = Path(os.environ.get("GREEN_CACHE", "/var/tmp/greenrun-green"))


@asynccontextmanager
async def upstream(folders: Sequence[str] = ()) -> AsyncIterator[str]:
    """host:port of a registry that has the images of these folders, of all where there is none; it keeps them."""
    engine = await find_engine()
    if engine is None:
        raise GreenrunError("no container engine answers; scripts/engine.sh starts one")
    await _made(folders)
    wanted = names(folders) if folders else [*names(), *BESIDES]
    async with serve_registry(data=CACHE / "upstream") as registry:
        async with aiohttp.ClientSession(f"http://{registry.host_port}") as session:
            for name in wanted:
                await _pushed(engine, session, registry.host_port, name)
        yield registry.host_port


def names(folders: Sequence[str] = ("*",)) -> list[str]:
    """The full source name of every image, as the first line of its Dockerfile has it."""
    paths = sorted(path for folder in folders for path in IMAGES.glob(f"{folder}/Dockerfile"))
    first = (path.read_text().splitlines()[0] for path in paths)
    return [line.removeprefix("# image: ") for line in first]


def short(name: str) -> str:
    """The name under which an engine has the image: Docker Hub's own name is left out."""
    return name.removeprefix("docker.io/").removeprefix("library/")


async def _made(folders: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(str(ROOT / "scripts" / "job-images.sh"), *folders)
    if await process.wait():
        raise GreenrunError("scripts/job-images.sh failed; its last words are above")


async def _pushed(engine: Engine, session: aiohttp.ClientSession, host_port: str, name: str) -> None:
    """The image is there, with the content that the engine has under its short name."""
    reference = parse(name)
    local = short(name)
    where = f"{reference.domain}/{reference.repository}"
    wanted = await engine.call("image", "inspect", "--format", "{{.Id}}", local)
    url = f"/v2/{where}/manifests/{reference.tag}"
    async with session.get(url, headers={"Accept": MANIFEST_TYPE}) as response:
        if response.ok and (await response.json(content_type=None)).get("config", {}).get("digest") == wanted:
            return
    target = f"{host_port}/{where}:{reference.tag}"
    await engine.call("tag", local, target)
    try:
        await engine.call("push", "--quiet", target)
    finally:
        await engine.quietly("rmi", target)
