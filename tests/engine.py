"""The container engine of the tests: whether there is one, and servers from images through testcontainers."""

from __future__ import annotations

import functools
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from greenrun import embedded

# Before testcontainers is imported. Its own janitor is an image that an air gap keeps out; what is started here is
# removed here. All ports are on loopback.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
os.environ.setdefault("TC_POOLING_INTERVAL", "0.1")

NATS = "nats:2.15-alpine"
CHROMA = "chromadb/chroma:1.5.9"
REGISTRY = "registry:2"
START_SECONDS = 60.0


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The engine's command, what it said as text."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check)


def require() -> None:
    """Skip the test where no engine answers, with the reason; fail it in CI, where there must be one."""
    if reason := _missing():
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(f"CI must have a container engine: {reason}", pytrace=False)
        pytest.skip(reason)


@functools.cache
def _missing() -> str:
    """Why no container can be started; empty where one can."""
    try:
        done = docker("version", "--format", "{{.Server.Version}}", check=False)
    except OSError:
        return "no container engine is installed (scripts/engine.sh)"
    return "" if done.returncode == 0 else "no container engine answers (scripts/engine.sh)"


@dataclass(frozen=True)
class Served:
    """A server in a container: the container's id, and its port on loopback."""

    container: str
    port: int
    ready: Callable[[int], None]

    def stop(self) -> None:
        """End it; its data stays."""
        docker("stop", "--time", "10", self.container)

    def start(self) -> None:
        """Up again, on the same port."""
        docker("start", self.container)
        self.await_ready()

    def await_ready(self) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.ready(self.port)
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    logs = docker("logs", self.container, check=False)
                    raise AssertionError(f"the server did not come up: {error}; {logs.stdout}{logs.stderr}") from error
                time.sleep(0.05)


@contextmanager
def serving(
    image: str,
    port: int,
    ready: Callable[[int], None],
    *,
    command: str = "",
    environment: Mapping[str, str] | None = None,
    folders: Mapping[Path, str] | None = None,
) -> Iterator[Served]:
    """A server in a container, once `ready` raises no OSError any more; removed at the end."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - its settings come first

    server = DockerContainer(image, env=dict(environment or {}), command=command or None)
    # Docker's own form of a port on one address; it stays the same when the container is started again.
    published = embedded.free_port()
    server.ports[str(port)] = ("127.0.0.1", published)  # type: ignore[assignment]
    for folder, where in (folders or {}).items():
        server.with_volume_mapping(str(folder), where, "ro")
    with server:
        served = Served(server.get_wrapped_container().id or "", published, ready)
        served.await_ready()
        yield served
        server.get_docker_client().client.close()


def nats_ready(port: int) -> None:
    """The server introduces itself."""
    with socket.create_connection(("127.0.0.1", port), 2) as connection:
        connection.settimeout(2)
        if not connection.recv(4).startswith(b"INFO"):
            raise ConnectionError("no NATS server yet")


def answering(path: str, *statuses: int) -> Callable[[int], None]:
    """Ready where this path is answered with one of the statuses."""

    def ready(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            if (status := connection.getresponse().status) not in statuses:
                raise ConnectionError(f"{path} is answered with {status}")
        finally:
            connection.close()

    return ready
