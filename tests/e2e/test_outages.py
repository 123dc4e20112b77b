"""Something outside is away when a run needs it: the run waits, and goes through when the thing is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest

from greenrun import embedded, local
from sandbox.gitlab.server import serve as serve_gitlab
from sandbox.registry import serve_registry
from shared.bus import Bus
from tests.e2e.conftest import DEADLINE, HAPPY, QUICK, System, types

pytestmark = pytest.mark.e2e
SAMPLE = Path(__file__).parents[2] / "greenrun" / "samples" / "flask-notes"
TOKEN = "glpat-outage"


def _chroma(home: Path, port: int, _registry: str | None) -> AbstractAsyncContextManager[Any]:
    return embedded.chroma(home / "part", port=port)


def _registry(home: Path, port: int, _registry: str | None) -> AbstractAsyncContextManager[Any]:
    return serve_registry(data=home / "part", port=port)


@pytest.mark.parametrize(
    ("part", "setting", "waiting"),
    [(_chroma, "chromadb", "retriever"), (_registry, "nexus_registry", "seeder")],
)
async def test_a_run_waits_for_a_part_that_is_down(
    tmp_path: Path, part: Callable[..., AbstractAsyncContextManager[Any]], setting: str, waiting: str
) -> None:
    """Chroma or the registry is down when the run comes to it, and back later."""
    port = embedded.free_port()
    where: dict[str, Any] = {"chromadb_host": "127.0.0.1", "chromadb_port": port}
    if setting == "nexus_registry":
        where = {"nexus_registry": f"127.0.0.1:{port}"}
    async with _system(tmp_path, where) as system:
        project = await system.gitlab.create_project("outage/notes", from_dir=SAMPLE)
        run_id = await system.submit(project["http_url_to_repo"])
        await _redelivered(system, waiting)
        async with part(tmp_path, port, None):
            records = await system.end(run_id)
    assert types(records)[: len(HAPPY) - 2] == HAPPY[:-2]


async def test_a_run_waits_for_gitlab(tmp_path: Path) -> None:
    """GitLab is down when the repository is to be read, and back later."""
    port = embedded.free_port()
    gitlab = {"gitlab_url": f"http://127.0.0.1:{port}", "gitlab_token": TOKEN}
    async with _system(tmp_path, gitlab) as system:
        registry = system.local.values["nexus_registry"]
        serving = {"port": port, "data": tmp_path / "part", "token": TOKEN, "registry": registry}
        async with serve_gitlab(**serving) as server:
            project = await server.create_project("outage/notes", from_dir=SAMPLE)
        run_id = await system.submit(project["http_url_to_repo"])
        await _redelivered(system, "analyzer")
        async with serve_gitlab(**serving):
            assert types(await system.end(run_id)) == HAPPY


async def test_a_run_survives_a_restart_of_nats(tmp_path: Path) -> None:
    """The server is killed while the run is in flight; after its restart the run goes on by itself."""
    port = embedded.free_port()
    url = f"nats://127.0.0.1:{port}"
    server = embedded.nats_server(tmp_path / "part", port=port)
    await server.__aenter__()
    async with _system(tmp_path, {"nats_url": url}) as system:
        project = await system.gitlab.create_project("outage/notes", from_dir=SAMPLE)
        run_id = await system.submit(project["http_url_to_repo"])
        await system.until(run_id, lambda recorded: recorded.event.type == "repo.analyzed")
        await server.__aexit__(None, None, None)
        async with embedded.nats_server(tmp_path / "part", port=port):
            assert types(await system.end(run_id)) == HAPPY


@asynccontextmanager
async def _system(home: Path, given: dict[str, Any]) -> AsyncIterator[System]:
    """Everything embedded but the part that the test starts and stops itself."""
    started = local.start(home / "system", overrides={**QUICK, **given})
    async with started as system, Bus.connect(system.settings(), "test") as bus:
        yield System(system, bus)


async def _redelivered(system: System, consumer: str) -> None:
    """Return once the service has given its delivery back at least once."""
    client = await nats.connect(system.local.values["nats_url"])
    try:
        async with asyncio.timeout(DEADLINE):
            while not (await client.jetstream().consumer_info("EVENTS", consumer)).num_redelivered:
                await asyncio.sleep(0.05)
    finally:
        await client.close()
