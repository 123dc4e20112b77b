"""The rules of the house, read from the code's own imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.topology import TOPOLOGY

ROOT = Path(__file__).parents[1]
SERVICES = tuple(row.service for row in TOPOLOGY)
PACKAGES = ("greenrun", "services", "shared", "sandbox")
SERVICE_FILES = {"__init__.py", "__main__.py", "decide.py", "service.py", "settings.py"}
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
EFFECTS = {"asyncio", "httpx", "aiohttp", "subprocess", "socket", "gitlab", "git", "chromadb", "nats", "requests"}
EFFECTS |= {"shared.bus", "shared.run", "shared.adapters", "shared.delivery", "sqlite3", "tempfile"}
CLIENTS = {"gitlab", "git", "chromadb", "httpx", "requests"}


def modules(*folders: str) -> list[Path]:
    """All Python files below the folders, the demo's repositories left out."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "samples" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, those for type checking only left out."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(paths: list[Path], forbidden: set[str]) -> list[str]:
    """`module imports name` for each import that is one of the forbidden, or below it."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in imports(path)
        if any(name == one or name.startswith(f"{one}.") for one in forbidden)
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_services_do_not_import_each_other(service: str) -> None:
    """They share the log and nothing else."""
    others = {f"services.{other}" for other in SERVICES if other != service}
    assert offenders(modules(f"services/{service}"), others) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_files(service: str) -> None:
    """Who has read one can find anything in all of them."""
    assert {path.name for path in (ROOT / "services" / service).glob("*.py")} >= SERVICE_FILES


def test_decisions_have_no_effects() -> None:
    """`decide.py` and `shared/ci` are pure."""
    pure = [path for path in modules("services") if path.name == "decide.py"] + modules("shared/ci")
    assert offenders(pure, EFFECTS) == []


def test_shared_imports_no_service() -> None:
    """The dependency goes one way, and what ships knows nothing of the sandbox."""
    assert offenders(modules("shared"), {"services", "greenrun", "sandbox"}) == []
    assert offenders(modules("services"), {"greenrun", "sandbox"}) == []


def test_only_the_bus_knows_nats() -> None:
    """The log and its connection do; everything else speaks of events."""
    bus = {ROOT / "shared" / "bus.py", ROOT / "shared" / "connection.py"}
    assert offenders([path for path in modules(*PACKAGES) if path not in bus], {"nats"}) == []


def test_only_adapters_know_their_clients() -> None:
    """Errors are translated where the client is."""
    adapters = set(modules("shared/adapters"))
    others = [path for path in modules("shared", "services") if path not in adapters]
    assert offenders(others, CLIENTS) == []


def test_names_say_something() -> None:
    """No module is called what any module could be called."""
    assert [path for path in modules(*PACKAGES) if path.stem in SAYS_NOTHING] == []
