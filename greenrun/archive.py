"""`greenrun log archive` and `restore`: the streams in one file and back, checked against their digests and states.

The file is a zip without compression (the server has compressed already): `manifest.json` and a snapshot for each
stream. The log comes first and what its events refer to last, so that no event names a blob that is not in the file.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from greenrun.exits import WrongCall
from shared.errors import GreenrunError
from shared.topology import ADVISORIES_STREAM, BLOBS_BUCKET, DLQ_STREAM, EVENTS_STREAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shared.bus import Bus

# Leases are left out: they live for seconds.
STREAMS = (EVENTS_STREAM, DLQ_STREAM, ADVISORIES_STREAM, f"OBJ_{BLOBS_BUCKET}")
FORMAT = 1
MANIFEST = "manifest.json"
BLOCK = 64 * 1024


@dataclass(frozen=True)
class Kept:
    """One stream in the file: messages, bytes of its snapshot, and hex sha256 over them."""

    name: str
    messages: int
    size: int
    digest: str
    about: dict[str, Any]


async def archive(bus: Bus, file: Path) -> list[Kept]:
    """Write the streams to a new file; what is in it. The file is complete, or not there."""
    if file.exists():
        raise WrongCall(f"{file} is there already")
    part = file.with_name(f"{file.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as bundle:
            kept = [await _take(bus, name, bundle) for name in STREAMS]
            bundle.writestr(MANIFEST, json.dumps(_manifest(kept), indent=2))
        part.rename(file)
    except OSError as error:
        raise GreenrunError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return kept


async def _take(bus: Bus, name: str, bundle: zipfile.ZipFile) -> Kept:
    digest, size = hashlib.sha256(), 0
    async with bus.snapshot(name) as (about, chunks):
        with bundle.open(name, "w", force_zip64=True) as out:
            async for chunk in chunks:
                out.write(chunk)
                digest.update(chunk)
                size += len(chunk)
    return Kept(name, about["state"]["messages"], size, digest.hexdigest(), about)


def _manifest(kept: list[Kept]) -> dict[str, Any]:
    made = datetime.now(UTC).isoformat(timespec="seconds")
    streams = [{"name": k.name, "size": k.size, "sha256": k.digest, **k.about} for k in kept]
    return {"format": FORMAT, "made": made, "streams": streams}


def read(file: Path) -> list[Kept]:
    """What is in a file, every byte of it checked; WrongCall where it is none, or is not whole."""
    try:
        with zipfile.ZipFile(file) as bundle:
            said = json.loads(bundle.read(MANIFEST))
            kept = [_kept(one) for one in said["streams"]]
            for one in kept:
                _check(bundle, one)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise WrongCall(f"{file} is no archive of the log, or not whole: {error}") from error
    return kept


def _kept(said: dict[str, Any]) -> Kept:
    about = {"config": said["config"], "state": said["state"]}
    return Kept(said["name"], said["state"]["messages"], said["size"], said["sha256"], about)


def _check(bundle: zipfile.ZipFile, one: Kept) -> None:
    digest = hashlib.sha256()
    with bundle.open(one.name) as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != one.digest:
        raise ValueError(f"the bytes of {one.name} are not those that were written")


async def restore(bus: Bus, file: Path) -> list[Kept]:
    """Make the streams of a file on a server that has none of them; GreenrunError where one came out otherwise.

    Nothing is begun where a stream of that name is there, or the file is not whole.
    """
    kept = read(file)
    for one in kept:
        if "error" not in await bus.jetstream(f"STREAM.INFO.{one.name}"):
            advice = "restore into a server without streams, before 'greenrun provision --apply' or 'greenrun up'"
            raise WrongCall(f"the stream {one.name} is there already; {advice}")
    for one in kept:
        state = (await bus.restore(one.about, _blocks(file, one.name)))["state"]
        same = all(state[key] == one.about["state"][key] for key in ("messages", "first_seq", "last_seq"))
        if not same:
            raise GreenrunError(f"{one.name} came out otherwise: {state['messages']} messages, not {one.messages}")
    return kept


async def _blocks(file: Path, name: str) -> AsyncIterator[bytes]:
    with zipfile.ZipFile(file) as bundle, bundle.open(name) as stream:
        while block := stream.read(BLOCK):
            yield block
