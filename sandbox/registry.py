"""A registry on this machine: Debian's `docker-registry` where it is installed, else a small one of our own."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sandbox import registry_app, registry_images, registry_process
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

Engine = Literal["docker-registry", "builtin"]


@dataclass(frozen=True)
class RegistryServer:
    """A running registry; `host_port` is how images name it, `engine` what serves it."""

    host_port: str
    engine: Engine


@asynccontextmanager
async def serve_registry(
    *, data: Path, port: int = 0, host: str = "127.0.0.1", engine: Engine | None = None
) -> AsyncIterator[RegistryServer]:
    """A registry that keeps its images in `data`; port 0 takes a free one, `engine` None what is installed.

    Raises GreenrunError where the port is taken or another registry has the same `data`.
    """
    data.mkdir(parents=True, exist_ok=True)
    chosen: Engine = engine or ("docker-registry" if shutil.which("docker-registry") else "builtin")
    serve = registry_process.serve if chosen == "docker-registry" else registry_app.serve
    with _alone(data):
        async with serve(data / chosen, host, port) as host_port:
            yield RegistryServer(host_port, chosen)


@asynccontextmanager
async def serve_upstream(
    data: Path, images: Sequence[str], *, port: int = 0, host: str = "127.0.0.1", engine: Engine = "builtin"
) -> AsyncIterator[RegistryServer]:
    """The world's registries in one: a tiny image under each of these full source names, and nothing else.

    For `SEED_MIRROR`: the source `docker.io/library/ruby:3.2` is `host:port/docker.io/library/ruby:3.2` here.
    Our own engine takes hundreds of images in a second, where `docker-registry` needs several.
    """
    async with serve_registry(data=data, port=port, host=host, engine=engine) as server:
        await registry_images.push_tiny(server.host_port, images)
        yield server


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold the folder; two registries on one would lose each other's writes."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise GreenrunError(f"a registry is already running on {data}; stop it or choose another folder") from error
        yield
