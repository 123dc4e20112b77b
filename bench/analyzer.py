"""The analyzer measured: accuracy on labelled repositories, milliseconds each, and a large clone against git's own.

`python -m bench.analyzer [--large] [--small] [LABELS]`; the ratios are of one run on one machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import corpus
from sandbox.gitlab.server import serve
from services.analyzer import decide, detect
from services.analyzer.settings import Settings
from shared.adapters.git import GitSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TOKEN = "glpat-bench"
AIMS = {"language": 0.985, "framework": 0.95, "no framework": 0.99, "version": 0.95, "package manager": 0.98}


@dataclass(frozen=True)
class Size:
    """What the large repository is made of."""

    files: int = 50_000
    blobs: int = 500
    blob_bytes: int = 1_000_000


def accuracy(labels: Path) -> None:
    """Print the scores against the aims, the failures by name, and the time of each repository."""
    rows = corpus.rows(labels)
    found, times = [], []
    for row in rows:
        began = time.perf_counter()
        said = corpus.analysis(row)
        times.append((time.perf_counter() - began) * 1000)
        found.append((row, said))
    for field, score in corpus.scores(found).items():
        print(f"{field:16} {score.right:4}/{score.of:<4} {100 * score.share:5.1f} %  aim {100 * AIMS[field]:.1f} %")
        for name, label, answer in score.wrong:
            print(f"    {name}: {label} expected, {answer} said")
    print(
        f"milliseconds     median {statistics.median(times):.2f}, 99 % {sorted(times)[-len(times) // 100]:.2f}; aim 3"
    )


async def large(size: Size) -> None:
    """Print seconds and bytes of the analyzer's read and of `git clone --depth 1` of the same repository."""
    with tempfile.TemporaryDirectory(prefix="greenrun-bench-") as scratch:
        async with serve(data=Path(scratch) / "gitlab", token=TOKEN) as server:
            await server.create_project("bench/large", files={"README.md": b"x"})
            print(f"making {size.files} files and {size.blobs} blobs of {size.blob_bytes} bytes …")
            fill(Path(scratch) / "gitlab" / "repositories" / "1.git", size)
            port = int(server.url.rpartition(":")[2])
            async with relay(port) as meter:
                ours = await _timed(meter, lambda: _read(meter.port))
                target = Path(scratch) / "clone"
                theirs = await _timed(meter, lambda: _clone(meter.port, target))
    for name, (seconds, received) in {"analyzer": ours, "git clone --depth 1": theirs}.items():
        print(f"{name:20} {seconds:7.2f} s  {received / 1e6:8.1f} MB")
    print(f"ratio                {ours[0] / theirs[0]:7.3f}    {ours[1] / theirs[1]:8.4f}     aim 0.25 and 0.1")


def fill(folder: Path, size: Size) -> None:
    """Commit the files and blobs to `main` of the bare repository, in one stream."""
    command = ["git", f"--git-dir={folder}", "fast-import", "--quiet", "--force"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for piece in _stream(size):
            process.stdin.write(piece)
        process.stdin.close()
        if process.wait():
            raise SystemExit("git fast-import failed")


def _stream(size: Size) -> Iterator[bytes]:
    chance = random.Random(7)
    words = [f"word{number}" for number in range(2000)]
    yield b"commit refs/heads/main\ncommitter b <b@b> 1700000000 +0000\ndata 5\nlarge\nfrom refs/heads/main^0\n"
    for number in range(size.files):
        text = " ".join(chance.choices(words, k=chance.randint(50, 600))).encode()
        ending = ("py", "py", "js", "md")[number % 4]
        yield b"M 100644 inline src/m%d/f%d.%s\ndata %d\n%s\n" % (
            number // 100,
            number,
            ending.encode(),
            len(text),
            text,
        )
    for number in range(size.blobs):
        noise = chance.randbytes(size.blob_bytes)
        yield b"M 100644 inline assets/%d.bin\ndata %d\n%s\n" % (number, len(noise), noise)
    yield b"M 100644 inline requirements.txt\ndata 6\nflask\n\n"


@dataclass
class Meter:
    """What went from the server to its clients, in bytes."""

    port: int = 0
    received: int = 0


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[Meter]:
    """A port that leads to the server's and counts what comes back."""
    meter = Meter()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, downstream, None), _pump(upstream, writer, meter))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        meter.port = server.sockets[0].getsockname()[1]
        yield meter


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, meter: Meter | None) -> None:
    with suppress(ConnectionError):
        while data := await source.read(1 << 18):
            if meter:
                meter.received += len(data)
            target.write(data)
            await target.drain()
        target.close()
        await target.wait_closed()


async def _timed(meter: Meter, work: object) -> tuple[float, int]:
    began, before = time.perf_counter(), meter.received
    await work()  # type: ignore[operator]
    return time.perf_counter() - began, meter.received - before


async def _read(port: int) -> None:
    settings = Settings(gitlab_url=f"http://127.0.0.1:{port}", gitlab_token=TOKEN)
    source = GitSource(settings, settings, detect.is_manifest, detect.is_source)
    snapshot = await source.read(f"http://127.0.0.1:{port}/bench/large.git", None)
    began = time.perf_counter()
    found = decide.analyze(snapshot)
    seconds = time.perf_counter() - began
    print(f"the analysis itself {seconds:.2f} s: {found.language}, {found.framework}, {len(snapshot.tree)} files")


async def _clone(port: int, target: Path) -> None:
    url = f"http://u:{TOKEN}@127.0.0.1:{port}/bench/large.git"
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    process = await asyncio.create_subprocess_exec(
        "git", "clone", "-q", "--depth", "1", url, str(target), env=environment
    )
    if await process.wait():
        raise SystemExit("git clone failed")


def main() -> None:
    """Accuracy and time; with --large the clone as well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", nargs="?", type=Path, default=corpus.REPOSITORIES)
    parser.add_argument("--large", action="store_true", help="make a large repository and read it (some minutes)")
    parser.add_argument("--small", action="store_true", help="with --large: a tenth of it")
    options = parser.parse_args()
    accuracy(options.labels)
    if options.large:
        asyncio.run(large(Size(5_000, 50) if options.small else Size()))


if __name__ == "__main__":
    main()
