"""The images of this checkout, built once, and every service of the pipeline running from its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from scripts import images
from shared.topology import TOPOLOGY
from tests.engine import NATS, docker, require

SERVICES = tuple(row.service for row in TOPOLOGY)
# As compose.yaml and the chart run them.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")


@dataclass(frozen=True)
class Pipeline:
    """A network with NATS and the services; `names` has the container of each, `made` what the provisioner said."""

    network: str
    nats: str
    names: dict[str, str]
    made: str


@pytest.fixture(scope="session")
def built() -> None:
    """All images, from the engine's cache where nothing changed."""
    require()
    images.build(images.IMAGES)


@pytest.fixture(scope="session")
def pipeline(built: None) -> Iterator[Pipeline]:  # noqa: ARG001 - the images must be there
    """The nine services, each started from its image with nothing but where NATS is."""
    mark = f"greenrun-test-{secrets.token_hex(4)}"
    run = partial(docker, "run", "--network", mark, "--label", f"org.greenrun.test={mark}")
    docker("network", "create", mark)
    try:
        nats = run("--detach", "--network-alias", "nats", NATS, "-js", "-sd", "/tmp/jetstream").stdout.strip()
        made = run("--rm", *HARDENED, *_environment(), images.name("provisioner")).stdout
        names = {service: f"{mark}-{service}" for service in SERVICES}
        for service, name in names.items():
            options = ("--detach", "--name", name, "--health-interval", "1s", *HARDENED, *_environment())
            run(*options, images.name(service))
        yield Pipeline(mark, nats, names, made)
    finally:
        mine = docker("ps", "--all", "--quiet", "--filter", f"label=org.greenrun.test={mark}").stdout.split()
        docker("rm", "--force", "--volumes", *mine)
        docker("network", "rm", mark)


def _environment() -> tuple[str, ...]:
    """NATS, and a token without which the gateway opens no port beyond loopback."""
    values = {"NATS_URL": "nats://nats:4222", "GATEWAY_HOST": "0.0.0.0", "GATEWAY_TOKEN": "secret", "HEALTH_GRACE": "4"}
    return tuple(word for name, value in values.items() for word in ("--env", f"{name}={value}"))
