"""The sandbox's registries: both engines keep one contract."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest

from sandbox.registry import Engine, RegistryServer, serve_registry, serve_upstream
from sandbox.registry_images import MANIFEST_TYPE, digest, push_tiny, tiny_image
from shared.adapters.registry import RegistryClient, Skopeo
from shared.ci.places import Place
from shared.errors import GreenrunError
from tests.seeder.conftest import needs_docker_registry

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = [pytest.param("docker-registry", marks=needs_docker_registry), "builtin"]
BLOB = b"some bytes of a layer"

pytestmark = pytest.mark.parametrize("engine", ENGINES)


async def push_blob(session: aiohttp.ClientSession, repository: str, blob: bytes) -> None:
    """One blob in two chunks, as the specification allows."""
    async with session.post(f"/v2/{repository}/blobs/uploads/") as response:
        place = response.headers["Location"]
    async with session.patch(place, data=blob[:5], headers={"Content-Range": "0-4"}) as response:
        assert response.status == 202
        place = response.headers["Location"]
    async with session.put(f"{place}{'&' if '?' in place else '?'}digest={digest(blob)}", data=blob[5:]) as response:
        assert response.status == 201


async def test_skopeo_copies_between_registries_and_keeps_the_digest(engine: Engine, tmp_path: Path) -> None:
    """An image goes from one registry into another of either engine, by tag and by digest, byte for byte."""
    name = "docker.io/library/ruby:3.2"
    expected = digest(tiny_image(name).manifest)
    async with (
        serve_upstream(tmp_path / "up", [name], engine=engine) as up,
        serve_registry(data=tmp_path / "here", engine=engine) as here,
        RegistryClient(here.host_port) as registry,
    ):
        await Skopeo(timeout=20).copy(Place(f"{up.host_port}/{name}"), f"{here.host_port}/ruby:3.2")
        await Skopeo(timeout=20).copy(Place(f"{here.host_port}/ruby:3.2"), f"{up.host_port}/back:1")
        found = await registry.manifest("ruby", "3.2")
        assert found is not None
        assert (found.digest, found.size) == (expected, len(tiny_image(name).layer))
        assert await registry.manifest("ruby", expected) == found
        assert await registry.tags("ruby") == ("3.2",)


async def test_an_index_of_two_platforms_is_copied_whole(engine: Engine, tmp_path: Path) -> None:
    """With an index every platform comes along, and the size is that of all of them."""
    parts = {arch: tiny_image(f"docker.io/library/x:{arch}") for arch in ("amd64", "arm64")}
    entries = [
        {
            "mediaType": MANIFEST_TYPE,
            "size": len(p.manifest),
            "digest": digest(p.manifest),
            "platform": {"os": "linux", "architecture": arch},
        }
        for arch, p in parts.items()
    ]
    media = "application/vnd.docker.distribution.manifest.list.v2+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": entries}).encode()
    async with (
        serve_upstream(tmp_path / "up", [f"docker.io/library/x:{a}" for a in parts], engine=engine) as up,
        serve_registry(data=tmp_path / "here", engine=engine) as here,
        RegistryClient(here.host_port) as registry,
        aiohttp.ClientSession(f"http://{up.host_port}") as session,
    ):
        url = "/v2/docker.io/library/x/manifests/1"
        async with session.put(url, data=index, headers={"Content-Type": media}) as response:
            assert response.status == 201
        await Skopeo(timeout=20).copy(Place(f"{up.host_port}/docker.io/library/x:1"), f"{here.host_port}/x:1")
        found = await registry.manifest("x", "1")
        assert found is not None
        assert found.digest == digest(index)
        assert found.size == sum(len(p.layer) for p in parts.values())


async def test_blobs_chunks_mounts_and_refusals(engine: Engine, tmp_path: Path) -> None:
    """Chunked uploads and mounts work, a blob shows only where it was put, wrong digests are refused."""
    async with (
        serve_registry(data=tmp_path, engine=engine) as server,
        aiohttp.ClientSession(f"http://{server.host_port}") as session,
    ):
        await push_blob(session, "a/b", BLOB)
        async with session.get(f"/v2/a/b/blobs/{digest(BLOB)}") as response:
            assert await response.read() == BLOB
        async with session.head(f"/v2/other/blobs/{digest(BLOB)}") as response:
            assert response.status == 404
        async with session.post(f"/v2/other/blobs/uploads/?mount={digest(BLOB)}&from=a/b") as response:
            assert response.status == 201
        async with session.head(f"/v2/other/blobs/{digest(BLOB)}") as response:
            assert response.status == 200
        async with session.post("/v2/a/b/blobs/uploads/") as response:
            place = response.headers["Location"]
        wrong = "sha256:" + hashlib.sha256(b"other").hexdigest()
        async with session.put(f"{place}{'&' if '?' in place else '?'}digest={wrong}", data=BLOB) as response:
            assert response.status == 400
        lost = tiny_image("docker.io/library/lost:1").manifest
        async with session.put("/v2/a/b/manifests/1", data=lost, headers={"Content-Type": MANIFEST_TYPE}) as response:
            assert response.status in (400, 404)


async def test_tags_and_catalog_come_in_pages(engine: Engine, tmp_path: Path) -> None:
    """`n` limits a page; the client follows the links to the end; an unknown repository has no tags."""
    names = [f"docker.io/library/x:{n}" for n in range(5)]
    async with (
        serve_upstream(tmp_path, names, engine=engine) as server,
        RegistryClient(server.host_port) as registry,
        aiohttp.ClientSession(f"http://{server.host_port}") as session,
    ):
        assert sorted(await registry.tags("docker.io/library/x")) == ["0", "1", "2", "3", "4"]
        assert await registry.tags("docker.io/library/y") == ()
        async with session.get("/v2/_catalog") as response:
            assert await response.json() == {"repositories": ["docker.io/library/x"]}


async def test_images_survive_a_restart_and_are_pushed_once(engine: Engine, tmp_path: Path) -> None:
    """The folder is the registry: a second start has the same images, and pushing again changes nothing."""
    name = "docker.io/library/x:1"
    async with serve_upstream(tmp_path, [name], engine=engine):
        pass
    async with serve_registry(data=tmp_path, engine=engine) as server, RegistryClient(server.host_port) as registry:
        before = await registry.manifest("docker.io/library/x", "1")
        await push_tiny(server.host_port, [name])
        assert before is not None
        assert await registry.manifest("docker.io/library/x", "1") == before


async def test_a_taken_port_and_a_taken_folder_are_noticed(engine: Engine, tmp_path: Path) -> None:
    """A second registry on the same port or folder does not start and does not pass for the first."""
    async with serve_registry(data=tmp_path / "a", engine=engine) as server:
        port = int(server.host_port.rpartition(":")[2])
        with pytest.raises(GreenrunError, match="in use"):
            async with serve_registry(data=tmp_path / "b", port=port, engine=engine):
                pass
        with pytest.raises(GreenrunError, match="already running"):
            async with serve_registry(data=tmp_path / "a", engine=engine):
                pass


async def test_the_upstream_holds_hundreds_of_images_soon(engine: Engine, tmp_path: Path) -> None:
    """Two hundred images with digests of their own are there within seconds."""
    names = [f"docker.io/library/image{n % 40}:{n}" for n in range(200)]
    started = time.monotonic()
    async with serve_upstream(tmp_path, names, engine=engine) as server:
        took = time.monotonic() - started
        async with RegistryClient(server.host_port) as registry:
            found = await asyncio.gather(
                *(registry.manifest(f"docker.io/library/image{n % 40}", str(n)) for n in range(200))
            )
    assert len({m.digest for m in found if m}) == 200
    assert took < 15


async def test_two_engines_answer_under_the_name_that_is_told(engine: Engine, tmp_path: Path) -> None:
    """The server says its own address and engine."""
    async with serve_registry(data=tmp_path, engine=engine) as server:
        assert server == RegistryServer(server.host_port, engine)
        assert server.host_port.startswith("127.0.0.1:")
