"""Real registries for the tests of seeding: an upstream with tiny images, and a private one."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import bcrypt
import pytest

from sandbox import registry_process
from sandbox.registry import RegistryServer, serve_registry, serve_upstream
from tests.engine import REGISTRY, answering, require, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# Debian and Ubuntu have it; elsewhere the sandbox brings its own engine, which is always tested.
NO_DOCKER_REGISTRY = "docker-registry is not installed (apt-get install docker-registry)"
needs_docker_registry = pytest.mark.skipif(shutil.which("docker-registry") is None, reason=NO_DOCKER_REGISTRY)

SOURCES = (
    "docker.io/library/python:3.12-slim",
    "docker.io/library/node:20",
    "docker.io/org/tool:1",
    "gcr.io/kaniko-project/executor:v1.23.2-debug",
)


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[RegistryServer]:
    """What the internet's registries hold in these tests."""
    async with serve_upstream(tmp_path / "upstream", SOURCES) as server:
        yield server


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[RegistryServer]:
    """The private registry, empty."""
    async with serve_registry(data=tmp_path / "private") as server:
        yield server


@pytest.fixture(params=["program", pytest.param("image", marks=pytest.mark.engine)])
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """host:port of an empty registry that lets in the user `u` with the password `p:w`: Debian's, and the image."""
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "users").write_bytes(b"u:" + bcrypt.hashpw(b"p:w", bcrypt.gensalt(4)))
    serve = _by_program if request.param == "program" else _by_image
    async with serve(guard) as host_port:
        yield host_port


@asynccontextmanager
async def _by_program(guard: Path) -> AsyncIterator[str]:
    if shutil.which("docker-registry") is None:
        pytest.skip(NO_DOCKER_REGISTRY)
    auth = {"htpasswd": {"realm": "lab", "path": str(guard / "users")}}
    async with registry_process.serve(guard, "127.0.0.1", 0, auth) as host_port:
        yield host_port


@asynccontextmanager
async def _by_image(guard: Path) -> AsyncIterator[str]:
    require()
    auth = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "lab"}
    auth["REGISTRY_AUTH_HTPASSWD_PATH"] = "/guard/users"
    server = serving(REGISTRY, 5000, answering("/v2/", 401), environment=auth, folders={guard: "/guard"})
    served = await asyncio.to_thread(server.__enter__)
    try:
        yield f"127.0.0.1:{served.port}"
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
