"""Tiny but valid images (one layer, a few hundred bytes, linux/amd64), pushed over plain HTTP."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from shared.ci.references import parse
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCKER = "application/vnd.docker"
MANIFEST_TYPE = f"{DOCKER}.distribution.manifest.v2+json"
CONFIG_TYPE = f"{DOCKER}.container.image.v1+json"
LAYER_TYPE = f"{DOCKER}.image.rootfs.diff.tar.gzip"
CREATED = "2024-01-01T00:00:00Z"
PUSHES_AT_ONCE = 16


@dataclass(frozen=True)
class TinyImage:
    """The three parts of an image."""

    layer: bytes
    config: bytes
    manifest: bytes


async def push_tiny(host_port: str, names: Sequence[str]) -> None:
    """Have an image under each full name (`docker.io/library/ruby:3.2`) in the registry at `host_port`.

    The same name gives the same bytes, so that a second call changes nothing. Raises GreenrunError on a refusal.
    """
    slots = asyncio.Semaphore(PUSHES_AT_ONCE)
    limit = aiohttp.TCPConnector(limit=PUSHES_AT_ONCE)
    async with aiohttp.ClientSession(f"http://{host_port}", connector=limit, raise_for_status=True) as session:

        async def push(name: str) -> None:
            async with slots:
                await _push(session, name)

        try:
            async with asyncio.TaskGroup() as pushes:
                for name in dict.fromkeys(names):
                    pushes.create_task(push(name))
        except* aiohttp.ClientError as errors:
            raise GreenrunError(f"registry {host_port} takes no images: {errors.exceptions[0]}") from errors


def tiny_image(name: str) -> TinyImage:
    """The image whose one file tells its own name."""
    tar = _tar("etc/image", f"{name}\n".encode())
    layer = gzip.compress(tar, mtime=0)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": ["/bin/sh"],
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
            "history": [{"created": CREATED, "created_by": "greenrun sandbox"}],
        }
    )
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "size": len(config), "digest": digest(config)},
        "layers": [{"mediaType": LAYER_TYPE, "size": len(layer), "digest": digest(layer)}],
    }
    return TinyImage(layer, config, _json(document))


def digest(content: bytes) -> str:
    """`sha256:` and the hex digest."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


async def _push(session: aiohttp.ClientSession, name: str) -> None:
    reference, image = parse(name), tiny_image(name)
    base = f"/v2/{reference.domain}/{reference.repository}"
    url = f"{base}/manifests/{reference.tag or digest(image.manifest)}"
    async with session.head(url, headers={"Accept": MANIFEST_TYPE}, raise_for_status=False) as response:
        if response.headers.get("Docker-Content-Digest") == digest(image.manifest):
            return
    for blob in (image.layer, image.config):
        await _push_blob(session, base, blob)
    async with session.put(url, data=image.manifest, headers={"Content-Type": MANIFEST_TYPE}):
        pass


async def _push_blob(session: aiohttp.ClientSession, base: str, blob: bytes) -> None:
    async with session.post(f"{base}/blobs/uploads/") as response:
        place = response.url.join(URL(response.headers["Location"], encoded=True))
    async with session.put(place.update_query(digest=digest(blob)), data=blob):
        pass


def _tar(path: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(content), 0o644
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _json(document: dict[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
