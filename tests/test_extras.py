"""Each service, and the command, starts with what its own extra installs: an image has no more than that."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from shared.topology import TOPOLOGY

ROOT = Path(__file__).parents[1]
OWN = {"greenrun", "services", "shared", "sandbox"}
# Both install the import name chromadb; this environment has the larger one.
SAME_NAME = {"chromadb-client": "chromadb"}
START = """
import sys
from importlib.abc import MetaPathFinder

missing = set(sys.argv[2].split(","))

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
__import__(sys.argv[1])
"""


def installed_by(extra: str) -> set[str]:
    """The names of all distributions that the project and this extra bring, from the lock file."""
    packages: dict[str, Any] = {row["name"]: row for row in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    found: set[str] = set()
    wanted = [*packages["greenrun"]["dependencies"], *packages["greenrun"]["optional-dependencies"][extra]]
    while wanted:
        name = wanted.pop()["name"]
        if name not in found:
            found.add(name)
            wanted += packages[name].get("dependencies", [])
    return found | {SAME_NAME[name] for name in found & SAME_NAME.keys()}


def normalized(name: str) -> str:
    """A distribution's name as the lock file has it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("extra", "module"),
    [("cli", "greenrun.cli"), *((row.service, f"services.{row.service}.__main__") for row in TOPOLOGY)],
)
def test_an_extra_is_enough(extra: str, module: str) -> None:
    """Everything that the module imports is in the closure of the extra."""
    names = installed_by(extra)
    missing = {name for name, owners in packages_distributions().items() if names.isdisjoint(map(normalized, owners))}
    command = [sys.executable, "-c", START, module, ",".join(missing - OWN)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
