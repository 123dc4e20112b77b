"""Real projects that nobody here wrote: source archives from PyPI and npm, unpacked."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path


def pypi_sdist(requirement: str, folder: Path) -> Path:
    """The unpacked source archive of an exact requirement such as `flask==3.1.2`."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    argv += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    return _unpack(folder)


def npm_package(package: str, folder: Path) -> Path:
    """The unpacked package of an exact name and version such as `express@5.1.0`."""
    subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, timeout=120)
    return _unpack(folder)


def _unpack(folder: Path) -> Path:
    """The one archive in the folder, unpacked below it; the archive's top folder."""
    [archive] = [*folder.glob("*.tar.gz"), *folder.glob("*.tgz")]
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "source", filter="data")
    [top] = (folder / "source").iterdir()
    return top
