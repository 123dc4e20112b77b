"""Debian's `docker-registry` as a child process that ends with its parent."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from greenrun.child import leashed
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

START_SECONDS = 20.0

_LISTENING = re.compile(r"listening on ([^\s\",]+:\d+)")


@asynccontextmanager
async def serve(data: Path, host: str, port: int, auth: Mapping[str, object] | None = None) -> AsyncIterator[str]:
    """Its host:port as it says itself, so that a taken port is never mistaken for our own registry.

    `auth` is the section of that name in its configuration. Raises GreenrunError with the end of its log.
    """
    data.mkdir(parents=True, exist_ok=True)
    config, log = data / "config.yml", data / "server.log"
    config.write_text(json.dumps(_config(data, f"{host}:{port}", auth)))
    # It would take every REGISTRY_… variable for a setting of its own, and greenrun has such too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    async with leashed(["docker-registry", "serve", str(config)], log, environment) as process:
        yield await _listening(process, log, f"{host}:{port}")


def _config(data: Path, address: str, auth: Mapping[str, object] | None) -> dict[str, object]:
    """JSON is YAML; no debug port, no access log, nothing outside `data`."""
    return {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(data / "storage")},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
        },
        "http": {"addr": address, "secret": secrets.token_hex(16)},
        **({"auth": dict(auth)} if auth else {}),
    }


async def _listening(process: asyncio.subprocess.Process, log: Path, address: str) -> str:
    """The address from its log."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                found = _LISTENING.search(log.read_text(errors="replace"))
                if found:
                    return found[1]
                await asyncio.sleep(0.02)
    tail = log.read_text(errors="replace")[-600:].strip()
    raise GreenrunError(f"docker-registry did not come up on {address}; its log ends with: {tail}")
