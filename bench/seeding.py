"""Seeding measured in one run against plain skopeo in a loop: twenty images of which none, half and all are present.

`python -m bench.seeding [--images 20] [--size 2000000] [--latency 0.02]`; `--size` is the layer of each image in bytes,
`--latency` how far away the source is in seconds, one way. Both sides copy between the same two real registries; the
ratio is what counts, not the seconds of this machine. Without latency copies cost nothing but this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from sandbox.registry import serve_registry
from sandbox.registry_images import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, digest
from services.seeder.service import connect, seed
from services.seeder.settings import Settings
from shared import logging
from shared.adapters.registry import Skopeo
from shared.ci.places import Place
from shared.events import Analysis, Files, FilesGenerated, ImagesSeeded, Proposal, Submission, new_run_id
from shared.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

AIMS = {"none": 0.6, "half": 0.6, "all": 0.2}
ROUNDS = 3


def names(count: int) -> list[str]:
    """The images' names in the private registry."""
    return [f"bench{number}:1" for number in range(count)]


async def push(host_port: str, repository: str, size: int, chance: random.Random) -> None:
    """An image with one layer of so many bytes that no disk and no wire makes smaller."""
    layer = chance.randbytes(size)
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "size": len(config), "digest": digest(config)},
        "layers": [{"mediaType": LAYER_TYPE, "size": size, "digest": digest(layer)}],
    }
    async with aiohttp.ClientSession(f"http://{host_port}", raise_for_status=True) as session:
        for blob in (layer, config):
            async with session.post(f"/v2/{repository}/blobs/uploads/") as response:
                place = response.url.join(URL(response.headers["Location"], encoded=True))
            async with session.put(place.update_query(digest=digest(blob)), data=blob):
                pass
        body, headers = json.dumps(manifest).encode(), {"Content-Type": MANIFEST_TYPE}
        async with session.put(f"/v2/{repository}/manifests/1", data=body, headers=headers):
            pass


def loop(upstream: str, private: str, images: Sequence[str]) -> float:
    """Seconds of plain skopeo, one image after the other."""
    began = time.perf_counter()
    for image in images:
        source, target = f"docker://{upstream}/docker.io/library/{image}", f"docker://{private}/{image}"
        command = ["skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
        subprocess.run([*command, source, target], check=True, capture_output=True)
    return time.perf_counter() - began


async def seeder(upstream: str, private: str, images: Sequence[str]) -> float:
    """Seconds of the seeder's handler for one run, its connections included."""
    jobs = "\n".join(f"job{number}: {{image: '{private}/{image}', script: [x]}}" for number, image in enumerate(images))
    proposal = Proposal(
        submission=Submission(repo_url="https://localhost/none"),
        analysis=Analysis(),
        decision="llm-generated",
        origin="rules",
        files=Files(pipeline=jobs, dockerfile="FROM scratch"),
    )
    settings = Settings(nexus_registry=private, seed_mirror=upstream)
    began = time.perf_counter()
    async with connect(settings, None) as deps:
        fact = await seed(FilesGenerated(run_id=new_run_id(), proposal=proposal), deps)
    took = time.perf_counter() - began
    if not isinstance(fact, ImagesSeeded) or any(not image.digest for image in fact.images):
        raise SystemExit("an image could not be had")
    return took


@asynccontextmanager
async def away(host_port: str, latency: float) -> AsyncIterator[str]:
    """The registry as if it were so many seconds away: every piece arrives that much later, none waits for another."""
    host, _, port = host_port.rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(later(reader, there_writer, latency), later(there_reader, writer, latency))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency: float) -> None:
    """Hand on what comes, in its order, each piece after the latency."""
    clock, pieces = asyncio.get_running_loop().time, asyncio.Queue[tuple[float, bytes]](64)

    async def hand_on() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        writer.close()

    with suppress(ConnectionError):
        async with asyncio.TaskGroup() as group:
            group.create_task(hand_on())
            piece = b"-"
            while piece:
                piece = await reader.read(1 << 16)
                await pieces.put((clock() + latency, piece))


async def prepared(upstream: str, images: Sequence[str], folder: Path, stack: AsyncExitStack) -> str:
    """A new private registry that has these images already."""
    private = (await stack.enter_async_context(serve_registry(data=folder))).host_port
    for image in images:
        await Skopeo().copy(Place(f"{upstream}/docker.io/library/{image}"), f"{private}/{image}")
    return private


async def compared(upstream: str, images: Sequence[str], there: Sequence[str], latency: float) -> tuple[float, float]:
    """Seconds of the loop and of the seeder, each with a registry of its own that has the same."""
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenrun-bench-")))
        first, second = [await prepared(upstream, there, scratch / side, stack) for side in ("loop", "seeder")]
        source = await stack.enter_async_context(away(upstream, latency)) if latency else upstream
        return await asyncio.to_thread(loop, source, first, images), await seeder(source, second, images)


async def measure(count: int, size: int, latency: float) -> None:
    """Print the median ratio of several rounds for each share of images that are present, against its aim."""
    images, chance = names(count), random.Random(1)
    with tempfile.TemporaryDirectory(prefix="greenrun-bench-") as folder:
        async with serve_registry(data=Path(folder)) as up:
            for image in images:
                await push(up.host_port, f"docker.io/library/{image.partition(':')[0]}", size, chance)
            for share, there in (("none", []), ("half", images[::2]), ("all", images)):
                pairs = [await compared(up.host_port, images, there, latency) for _ in range(ROUNDS)]
                plain, own = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
                ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
                print(f"{share:5} present: loop {plain:6.2f} s, seeder {own:6.2f} s, {ratio:.2f}  aim ≤ {AIMS[share]}")


def main() -> None:
    """The three shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20, help="how many images")
    parser.add_argument("--size", type=int, default=2_000_000, help="bytes of each image's layer")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to the source, one way")
    arguments = parser.parse_args()
    logging.configure(CommonSettings(log_level="ERROR"))
    asyncio.run(measure(arguments.images, arguments.size, arguments.latency))


if __name__ == "__main__":
    main()
