"""What is in an image, as a CycloneDX document: the locked Python packages and the packages of Debian.

uv tells what the lock has for a service, with the hash of each file; the image tells what is installed. What is
installed and not in the lock is an error: such an image was not made of this lock.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Document = dict[str, Any]
# Run inside the image: its packages of Debian, a line between, its Python packages.
INVENTORY = """
dpkg-query --show --showformat '${db:Status-Status} ${binary:Package} ${Version} ${Architecture}\\n'
echo
python - <<'PYTHON'
from importlib.metadata import distributions
for one in distributions(path=["/opt/greenrun/venv/lib/python3.%d/site-packages" % __import__("sys").version_info[1]]):
    print(one.name, one.version)
PYTHON
. /etc/os-release
echo
echo "$VERSION_CODENAME"
"""


class NotOfThisLock(Exception):  # noqa: N818 - what the image is
    """The image has Python packages that the lock does not have for its service."""


@dataclass(frozen=True)
class Inventory:
    """What is installed: (name, version, architecture) of Debian's packages, (name, version) of Python's."""

    debian: tuple[tuple[str, str, str], ...]
    python: frozenset[tuple[str, str]]
    release: str


def inventory(said: str) -> Inventory:
    """What INVENTORY printed."""
    debian, python, release = said.strip().split("\n\n")
    rows = (line.split() for line in debian.splitlines())
    installed = tuple((name, version, arch) for status, name, version, arch in rows if status == "installed")
    pairs = (line.split() for line in python.splitlines())
    return Inventory(installed, frozenset((normalized(name), version) for name, version in pairs), release.strip())


def normalized(name: str) -> str:
    """A distribution's name as the lock has it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def document(locked: Document, found: Inventory, service: str, image: str) -> Document:
    """The bill of one image; NotOfThisLock where the lock does not explain all of its Python packages."""
    kept = [one for one in locked["components"] if (one["name"], one["version"]) in found.python]
    strange = found.python - {(one["name"], one["version"]) for one in kept}
    if strange:
        names = ", ".join(f"{name} {version}" for name, version in sorted(strange))
        raise NotOfThisLock(f"{service} has what uv.lock does not have for it: {names}; build it again")
    own = locked["metadata"]["component"]
    refs = {one["bom-ref"] for one in kept} | {own["bom-ref"]}
    container = {"type": "container", "bom-ref": f"image:{service}", "name": image, "version": own["version"]}
    debian = list(_debian(found))
    everything = [own["bom-ref"], *(one["bom-ref"] for one in debian)]
    return locked | {
        "metadata": locked["metadata"] | {"component": container},
        "components": [own, *kept, *debian],
        "dependencies": [
            {"ref": container["bom-ref"], "dependsOn": everything},
            *_among(locked["dependencies"], refs),
        ],
    }


def _among(dependencies: list[Document], refs: set[str]) -> Iterator[Document]:
    """The edges between what is there; uv's lock also has what other machines would install."""
    for row in dependencies:
        if row["ref"] in refs:
            yield {"ref": row["ref"], "dependsOn": [ref for ref in row.get("dependsOn", []) if ref in refs]}


def _debian(found: Inventory) -> Iterator[Document]:
    for name, version, arch in found.debian:
        name = name.partition(":")[0]  # noqa: PLW2901 - libc6:amd64
        purl = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={arch}&distro={found.release}"
        yield {"type": "library", "bom-ref": f"deb:{name}", "name": name, "version": version, "purl": purl}


def write(folder: Path, uv: str, service: str, image: str) -> Path:
    """The bill of a built image, written to `<folder>/<service>.cdx.json`."""
    export = [uv, "export", "--quiet", "--locked", "--no-dev", "--extra", service, "--format", "cyclonedx1.5"]
    locked = json.loads(subprocess.run(export, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    look = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "bash", image, "-c", INVENTORY]
    found = inventory(subprocess.run(look, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{service}.cdx.json"
    path.write_text(json.dumps(document(locked, found, service, image), indent=1) + "\n")
    return path
