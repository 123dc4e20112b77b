"""What users and their registries really get wrong, done to the projects of `make green`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import aiohttp

from sandbox.registry_images import MANIFEST_TYPE
from shared.events import ImagesSeeded

if TYPE_CHECKING:
    from pathlib import Path

    from greenrun.local import Local
    from shared.bus import Bus

SHELLCHECK = "koalaman/shellcheck-alpine"


def no_such_release(folder: Path) -> None:
    """A pinned release for which no image was ever pushed."""
    (folder / ".python-version").write_text("3.13.42\n")


def older_python(folder: Path) -> None:
    """What the developers pinned is older than what the package asks for."""
    (folder / ".python-version").write_text("3.11\n")
    manifest = folder / "pyproject.toml"
    text, count = re.subn(r'requires-python = "[^"]*"', 'requires-python = ">=3.13"', manifest.read_text())
    if not count:
        raise ValueError(f"{manifest} says nothing of the Python that it wants")
    manifest.write_text(text)


def system_library(folder: Path) -> None:
    """The tests need a package that is built from source against a library of the system."""
    manifest = folder / "pyproject.toml"
    text, count = re.subn(
        r"(?m)^((?:optional-dependencies\.)?tests = \[)", r'\1"pycurl==7.45.2", ', manifest.read_text()
    )
    if not count:
        raise ValueError(f"{manifest} has no extra for its tests")
    manifest.write_text(text)


def not_executable(folder: Path) -> None:
    """The tests are run by a script that was committed without its mode, as on a file system that has none."""
    manifest = folder / "package.json"
    document = json.loads(manifest.read_text())
    script = folder / "scripts" / "test.sh"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\nset -e\n{document['scripts']['test']}\n")
    script.chmod(0o644)
    document["scripts"]["test"] = "./scripts/test.sh"
    manifest.write_text(json.dumps(document, indent=2))


async def image_deleted(bus: Bus, run_id: str, system: Local) -> None:
    """An image goes after it was seeded and before a job pulls it, as a clean-up of the registry has it."""
    async for recorded in bus.tail(run_id=run_id):
        if isinstance(recorded.event, ImagesSeeded):
            await _delete(str(system.values["nexus_registry"]), SHELLCHECK)
            return


async def _delete(registry: str, repository: str) -> None:
    """Every tag of a repository."""
    async with aiohttp.ClientSession(f"http://{registry}", raise_for_status=True) as session:
        async with session.get(f"/v2/{repository}/tags/list") as response:
            tags = (await response.json())["tags"]
        for tag in tags:
            async with session.head(f"/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST_TYPE}) as found:
                digest = found.headers["Docker-Content-Digest"]
            async with session.delete(f"/v2/{repository}/manifests/{digest}"):
                pass
