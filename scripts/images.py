"""Build the images, say how large each is, and write what is in it: `python -m scripts.images [SERVICE...]`.

Fails where the analyzer's or the committer's image is more than 120 MB over its base. GREENRUN_IMAGES and GREENRUN_TAG
name the images, PYTHON_IMAGE is the base, PYPI_INDEX and DEBIAN_MIRROR stand in for the public ones, and BUILD_CA is a
file of certificates for the build alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from scripts import sbom
from shared.topology import TOPOLOGY

ROOT = Path(__file__).parents[1]
IMAGES = (*(row.service for row in TOPOLOGY), "provisioner", "sandbox")
BASE = os.environ.get("PYTHON_IMAGE") or "python:3.11-slim-bookworm"
LIMITS = {"analyzer": 120, "committer": 120}
MEGABYTE = 1_000_000
PASSED = ("PYTHON_IMAGE", "PYPI_INDEX", "DEBIAN_MIRROR")


def name(service: str) -> str:
    """The full name of a service's image."""
    return f"{os.environ.get('GREENRUN_IMAGES') or 'greenrun'}/{service}:{os.environ.get('GREENRUN_TAG') or 'dev'}"


def project(services: tuple[str, ...]) -> dict[str, Any]:
    """A project of Compose that only builds: it does so with every engine, and several at once."""
    passed = {key: os.environ[key] for key in PASSED if os.environ.get(key)}
    labels = {"VERSION": _version(), "REVISION": _output("git", "rev-parse", "HEAD"), "SOURCE": _source()}
    certificates = os.environ.get("BUILD_CA")
    build = {"context": str(ROOT), **({"secrets": ["ca"]} if certificates else {})}
    rows = {
        service: {"image": name(service), "build": build | {"args": passed | labels | {"SERVICE": service}}}
        for service in services
    }
    secrets = {"secrets": {"ca": {"file": certificates}}} if certificates else {}
    return {"name": "greenrun-images", "services": rows, **secrets}


def build(services: tuple[str, ...]) -> None:
    """All of them in one go; CalledProcessError where one cannot be built."""
    command = ["docker", "compose", "--file", "-", "--progress", "quiet", "build"]
    asked = json.dumps(project(services))
    subprocess.run(command, input=asked, text=True, check=True, cwd=ROOT)  # noqa: S603


def sizes(services: tuple[str, ...]) -> dict[str, int]:
    """Bytes of each image over its base."""
    base = _size(BASE)
    return {service: _size(name(service)) - base for service in services}


def too_large(over: dict[str, int]) -> list[str]:
    """A sentence for each image over its limit."""
    return [
        f"{service} is {over[service] / MEGABYTE:.0f} MB over its base, more than {limit}"
        for service, limit in LIMITS.items()
        if over.get(service, 0) > limit * MEGABYTE
    ]


def table(over: dict[str, int]) -> str:
    """The sizes, for people."""
    base = _size(BASE)
    lines = [f"{'image':<36}{'MB':>6}{'over the base':>16}"]
    lines += [f"{name(one):<36}{(base + more) / MEGABYTE:>6.0f}{more / MEGABYTE:>16.0f}" for one, more in over.items()]
    return "\n".join([*lines, f"{BASE:<36}{base / MEGABYTE:>6.0f}"])


def _size(image: str) -> int:
    return int(_output("docker", "image", "inspect", "--format", "{{.Size}}", image))


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _source() -> str:
    """Where the code comes from, without a user or password that the address may have."""
    address = _output("git", "remote", "get-url", "origin")
    scheme, _, rest = address.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme in {"http", "https"} else ""


def _output(*command: str) -> str:
    """What a command prints; nothing where it fails, as git does where this is no clone."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)  # noqa: S603
    if done.returncode and command[0] == "docker":
        sys.exit(f"images: {done.stderr.strip()}")
    return done.stdout.strip() if not done.returncode else ""


def main() -> None:
    """Build, show, write; exit code 1 where an image is too large or is not what the lock says."""
    services = tuple(sys.argv[1:]) or IMAGES
    if unknown := sorted(set(services) - set(IMAGES)):
        sys.exit(f"images: there is no image {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    began = time.monotonic()
    try:
        build(services)
        built = time.monotonic() - began
        over = sizes(services)
        sys.stdout.write(f"{table(over)}\n{len(services)} images in {built:.0f} s\n")
        uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
        for service in services:
            sbom.write(ROOT / "build" / "sbom", uv, service, name(service))
    except subprocess.CalledProcessError as error:
        sys.exit(f"images: {error.cmd[0]} {error.cmd[1]} failed: {(error.stderr or 'see above').strip()}")
    except sbom.NotOfThisLock as error:
        sys.exit(f"images: {error}")
    sys.stdout.write("what is in each: build/sbom\n")
    if problems := too_large(over):
        sys.exit("\n".join(f"images: {problem}" for problem in problems))


if __name__ == "__main__":
    main()
