"""Seeding between real registries that want a user, are slow, break, fill up or are not to be trusted."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.registry import RegistryServer, serve_registry, serve_upstream
from services.seeder.decide import Wanted
from services.seeder.service import Deps, connect, have, seed
from services.seeder.settings import Settings
from shared.adapters.registry import RegistryClient, Skopeo
from shared.bus import Bus
from shared.ci.places import Place
from shared.errors import Retry
from shared.events import Image, ImagesSeeded
from tests.bus.conftest import Server, quick
from tests.seeder.conftest import SOURCES, needs_docker_registry
from tests.seeder.real_images import DOCKER_LIST, GIGABYTE, OCI_INDEX, plant_zeros, push_index
from tests.seeder.servers import TokenGate, answering, breaking, hanging, serving
from tests.seeder.test_policies import ruby
from tests.seeder.test_seeding import generated

PYTHON = "docker.io/library/python:3.12-slim"


async def seeded(source: str, private: str, places: str, **values: Any) -> Image:
    """What becomes of one image with these mirrors and settings; no source beyond them is asked."""
    settings = Settings(nexus_registry=private, seed_mirrors=places, air_gapped=True, copy_timeout=30, **values)
    path = source.removeprefix("docker.io/library/")
    event = ruby(f"job: {{image: '{private}/{path}', script: [x]}}")
    async with connect(settings, None) as deps:
        fact = await seed(event, deps)
    assert isinstance(fact, ImagesSeeded)
    return fact.images[0]


def logins(path: Path, host: str, user: str, password: str) -> str:
    """A file such as `docker login` writes."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {f"https://{host}": {"auth": auth}, "quay.io": {}}}))
    return str(path)


async def test_a_source_with_basic_auth_is_read_with_the_login_file(
    private: RegistryServer, guarded: str, tmp_path: Path
) -> None:
    """With the user the image is copied; without one it is refused in the registry's own words."""
    async with serve_upstream(tmp_path / "up", [PYTHON]) as up:
        skopeo = Skopeo(credentials={guarded: ("u", "p:w")}, timeout=20)
        await skopeo.copy(Place(f"{up.host_port}/{PYTHON}"), f"{guarded}/{PYTHON}")
        refused = await seeded(PYTHON, private.host_port, guarded)
        assert (refused.state, refused.error_class) == ("failed", "unauthorized")
        assert "authentication required" in refused.reason
        login = logins(tmp_path / "auth.json", guarded, "u", "p:w")
        assert (await seeded(PYTHON, private.host_port, guarded, seed_auth_file=login)).state == "copied"


async def test_a_source_with_a_token_server_is_read_with_the_login_file(
    private: RegistryServer, upstream: RegistryServer, tmp_path: Path
) -> None:
    """The bearer flow, for the question and for the copy; an anonymous token without rights is not enough."""
    async with serving(TokenGate(upstream.host_port).answer) as gate:
        assert (await seeded(PYTHON, private.host_port, gate)).error_class in ("unauthorized", "denied")
        login = logins(tmp_path / "auth.json", gate, "u", "p")
        assert (await seeded(PYTHON, private.host_port, gate, seed_auth_file=login)).state == "copied"


async def test_a_source_at_its_limit_says_for_how_long_and_no_copy_is_begun(private: RegistryServer) -> None:
    """The wish of Retry-After reaches the delivery at once, where skopeo alone would try for half a minute."""
    limited = answering(429, "TOOMANYREQUESTS", "pull rate limit", Retry_After="77")
    async with serving(limited) as source:
        with pytest.raises(Retry, match="pull rate limit") as raised:
            await seeded(PYTHON, private.host_port, source)
        assert raised.value.after is not None
        assert 70 < raised.value.after <= 77
        image = await seeded(PYTHON, private.host_port, source, seed_patience=0)
        assert (image.state, image.error_class) == ("failed", "rate_limited")


async def test_a_source_that_hangs_holds_nothing_for_ever(private: RegistryServer, upstream: RegistryServer) -> None:
    """The next place is asked after the time limit; where there is none the run waits, and then goes on without."""
    async with serving(hanging) as source:
        limits = {"registry_timeout": 0.3, "seed_patience": 0}
        image = await seeded(PYTHON, private.host_port, source, **limits)
        assert (image.state, image.error_class) == ("failed", "timeout")
        both = f"{source}, {upstream.host_port}"
        assert (await seeded(PYTHON, private.host_port, both, **limits)).pulled_from.startswith(upstream.host_port)


async def test_a_source_that_breaks_off_is_not_taken_for_the_private_registry(
    private: RegistryServer, upstream: RegistryServer
) -> None:
    """The next place gives what one breaks off; where there is none the reason is the source's, without addresses."""
    async with serving(breaking(upstream.host_port)) as cache:
        image = await seeded(PYTHON, private.host_port, cache, seed_patience=0)
        assert (image.state, image.error_class) == ("failed", "unreachable")
        assert image.reason == "unexpected EOF"
        both = f"{cache}, {upstream.host_port}"
        assert (await seeded(PYTHON, private.host_port, both)).pulled_from.startswith(upstream.host_port)


async def test_a_source_whose_name_nobody_knows_is_not_waited_for(private: RegistryServer) -> None:
    """A slip in a host's name, or no internet at all: the run goes on at once, and the reason names the host."""
    image = await seeded(PYTHON, private.host_port, "no-such-registry.invalid")
    assert (image.state, image.error_class) == ("failed", "no_such_host")
    assert "no-such-registry.invalid" in image.reason


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_a_certificate_that_nobody_signed_is_named(private: RegistryServer, tmp_path: Path) -> None:
    """Nothing is copied over a connection that cannot be trusted, and the reason says so."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    names = ["-subj", "/CN=wrong.example", "-addext", "subjectAltName=DNS:wrong.example"]
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", *names]
    command = ["openssl", "req", "-x509", *options, "-keyout", key, "-out", certificate]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serving(hanging, context) as source:
        image = await seeded(PYTHON, private.host_port, f"https://{source}")
    assert (image.state, image.error_class) == ("failed", "certificate")
    assert "x509" in image.reason


@pytest.mark.parametrize("media_type", [DOCKER_LIST, OCI_INDEX])
async def test_an_index_keeps_its_digest_and_all_platforms(
    private: RegistryServer, tmp_path: Path, media_type: str
) -> None:
    """Docker's lists and OCI's come over whole; a name with a digest is read by it."""
    async with serve_upstream(tmp_path / "up", []) as up:
        digest = await push_index(up.host_port, "docker.io/library/x:1", media_type)
        image = await seeded("docker.io/library/x:1", private.host_port, up.host_port)
        assert (image.state, image.digest) == ("copied", digest)
        pinned = await seeded(f"docker.io/library/x@{digest}", private.host_port, up.host_port)
        assert (pinned.state, pinned.digest) == ("present", digest)
    async with RegistryClient(private.host_port) as here:
        assert await here.digest("x", "1") == digest


async def test_a_gigabyte_is_copied_and_tells_its_bytes_on_the_way(private: RegistryServer, tmp_path: Path) -> None:
    """A large image arrives whole, and whoever listens hears a number that grows."""
    async with serve_upstream(tmp_path / "up", []) as up:
        digest = plant_zeros(tmp_path / "up", "docker.io/library/big", "1", GIGABYTE)
        heard: list[int] = []

        async def hear(copied: int) -> None:
            heard.append(copied)

        source = Place(f"{up.host_port}/docker.io/library/big:1")
        await Skopeo(timeout=120).copy(source, f"{private.host_port}/big:1", hear)
    async with RegistryClient(private.host_port) as here:
        found = await here.manifest("big", "1")
    assert found is not None
    assert (found.digest, found.size) == (digest, GIGABYTE)
    if Path("/proc/self/io").exists():
        assert heard == sorted(heard)
        assert heard[-1] > heard[0] > 0


@needs_docker_registry
async def test_a_registry_that_dies_in_mid_copy_is_waited_for(tmp_path: Path) -> None:
    """The delivery is given back; when the registry is there again the same image is copied whole."""
    async with serve_upstream(tmp_path / "up", []) as up, AsyncExitStack() as stack:
        digest = plant_zeros(tmp_path / "up", "docker.io/library/big", "1", GIGABYTE // 4)
        private = await stack.enter_async_context(serve_registry(data=tmp_path / "private"))
        copy = asyncio.create_task(seeded("docker.io/library/big:1", private.host_port, up.host_port))
        uploads = tmp_path / "private" / "docker-registry" / "storage"
        async with asyncio.timeout(20):
            while not any(path.stat().st_size for path in uploads.rglob("_uploads/*/data")):
                await asyncio.sleep(0.005)
        await stack.aclose()
        with pytest.raises(Retry):
            await copy
        port = int(private.host_port.rpartition(":")[2])
        async with serve_registry(data=tmp_path / "private", port=port):
            image = await seeded("docker.io/library/big:1", private.host_port, up.host_port)
    assert (image.state, image.digest) == ("copied", digest)


@needs_docker_registry
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk to fill it")
async def test_a_full_disk_under_the_registry_is_waited_for(tmp_path: Path) -> None:
    """Nothing is claimed while it is full; once there is room the same image is copied."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if (await asyncio.to_thread(subprocess.run, mount, check=False, capture_output=True)).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        (disk / "ballast").write_bytes(bytes(12 << 20))
        async with serve_upstream(tmp_path / "up", []) as up, serve_registry(data=disk) as private:
            digest = plant_zeros(tmp_path / "up", "docker.io/library/big", "1", 8 << 20)
            with pytest.raises(Retry):
                await seeded("docker.io/library/big:1", private.host_port, up.host_port)
            (disk / "ballast").unlink()
            shutil.rmtree(disk / "docker-registry/storage/docker/registry/v2/repositories/big/_uploads")
            image = await seeded("docker.io/library/big:1", private.host_port, up.host_port)
        assert (image.state, image.digest) == ("copied", digest)
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", str(disk)], check=True)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A NATS server for the replicas."""
    server = Server(tmp_path / "nats")
    await server.start()
    yield server
    await server.stop()


async def replicas(server: Server, upstream: str, private: str, stack: AsyncExitStack) -> list[Deps]:
    """Three seeders, each with its own connection to the log."""
    settings = Settings(nexus_registry=private, seed_mirror=upstream, nats_url=server.url, copy_timeout=20)
    found = []
    for number in range(3):
        bus = await stack.enter_async_context(Bus.connect(quick(server), f"seeder{number}"))
        await bus.provision()
        found.append(await stack.enter_async_context(connect(settings, bus)))
    return found


async def test_replicas_that_want_the_same_images_copy_each_once(
    server: Server, upstream: RegistryServer, private: RegistryServer
) -> None:
    """Of six runs on three replicas one copies an image, the others find it present; without leases all would copy."""
    async with AsyncExitStack() as stack:
        several = await replicas(server, upstream.host_port, private.host_port, stack)
        facts = await asyncio.gather(*(seed(generated(private.host_port), deps) for deps in several * 2))
    states = [image.state for fact in facts if isinstance(fact, ImagesSeeded) for image in fact.images if image.digest]
    assert states.count("copied") == len(SOURCES)
    assert states.count("present") == 5 * len(SOURCES)


async def test_a_copy_that_is_cancelled_leaves_its_image_to_the_next_replica(
    server: Server, upstream: RegistryServer, private: RegistryServer
) -> None:
    """The lease is given up at once: who waits for it does not wait until it expires."""
    settings = Settings(nexus_registry=private.host_port, registry_timeout=60)
    target = f"{private.host_port}/python:3.12-slim"
    good = Wanted(target, PYTHON, (Place(f"{upstream.host_port}/{PYTHON}"),), ("job x",))
    async with AsyncExitStack() as stack:
        stuck, next_one, _ = await replicas(server, upstream.host_port, private.host_port, stack)
        source = await stack.enter_async_context(serving(hanging))
        patient = await stack.enter_async_context(connect(settings, stuck.bus))
        copy = asyncio.create_task(have(replace(good, places=(Place(f"{source}/{PYTHON}"),)), "run", patient))
        await asyncio.wait({copy}, timeout=0.3)
        waiting = asyncio.create_task(have(good, "run", next_one))
        await asyncio.wait({waiting}, timeout=0.5)
        assert not waiting.done()
        copy.cancel()
        with suppress(asyncio.CancelledError):
            await copy
        assert (await asyncio.wait_for(waiting, 20)).state == "copied"
