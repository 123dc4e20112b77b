"""Images of a size or kind that the sandbox's tiny ones are not, put where a registry finds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from sandbox.registry_images import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, digest, push_tiny, tiny_image
from sandbox.registry_store import Store

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
GIGABYTE = 1 << 30
# Of so many zero bytes; it would take three seconds to find out.
GIGABYTE_DIGEST = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14"


async def push_index(host_port: str, name: str, media_type: str, platforms: Sequence[str] = ("amd64", "arm64")) -> str:
    """Have an index of tiny images under a full name with a tag; its digest."""
    repository, _, tag = name.rpartition(":")
    await push_tiny(host_port, [f"{repository}:{platform}" for platform in platforms])
    parts = {platform: tiny_image(f"{repository}:{platform}").manifest for platform in platforms}
    entries = [
        {
            "mediaType": MANIFEST_TYPE,
            "size": len(part),
            "digest": digest(part),
            "platform": {"os": "linux", "architecture": platform},
        }
        for platform, part in parts.items()
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()
    url, headers = f"http://{host_port}/v2/{repository}/manifests/{tag}", {"Content-Type": media_type}
    async with aiohttp.ClientSession() as session, session.put(url, data=index, headers=headers) as response:
        assert response.status == 201
    return digest(index)


def plant_zeros(data: Path, repository: str, tag: str, size: int) -> str:
    """Put an image with one layer of zeros into the folder of the sandbox's own registry; its digest.

    The layer takes no room on the disk: it is a hole in a file.
    """
    store = Store(data / "builtin")
    name = GIGABYTE_DIGEST if size == GIGABYTE else hashlib.sha256(bytes(size)).hexdigest()
    with (data / "builtin" / "blobs" / name).open("wb") as file:
        file.truncate(size)
    store._link(repository, "layers", f"sha256:{name}")
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{name}"]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    upload = store.upload(store.begin())
    assert upload is not None
    upload.write_bytes(config)
    store.finish(upload, repository, digest(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "size": len(config), "digest": digest(config)},
        "layers": [{"mediaType": LAYER_TYPE, "size": size, "digest": f"sha256:{name}"}],
    }
    return store.put_manifest(repository, tag, MANIFEST_TYPE, json.dumps(manifest).encode())
