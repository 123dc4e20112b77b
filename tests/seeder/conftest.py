"""Real registries for the tests of seeding: an upstream with tiny images, and a private one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from sandbox.registry import RegistryServer, serve_registry, serve_upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# Debian and Ubuntu have it; elsewhere the sandbox brings its own engine, which is always tested.
needs_docker_registry = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="docker-registry is not installed (apt-get install docker-registry)"
)

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
