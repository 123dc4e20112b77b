"""Every image by itself: it starts under its own extra alone, without rights, and ends when it is told to."""

from __future__ import annotations

import json
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scripts import images
from tests.containers.conftest import HARDENED, SERVICES, Pipeline
from tests.engine import docker

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("built")]
DEADLINE = 60.0


def inspected(container: str) -> dict[str, Any]:
    """The state of a container."""
    state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", container).stdout)
    return state


def health(container: str, wanted: str) -> dict[str, Any]:
    """Its health once it is this; AssertionError with what the check and the log said where it does not become so."""
    deadline = time.monotonic() + DEADLINE
    while True:
        state = inspected(container)
        if state["Health"]["Status"] == wanted:
            found: dict[str, Any] = state["Health"]
            return found
        if time.monotonic() > deadline or not state["Running"]:
            logs = docker("logs", container, check=False)
            raise AssertionError(f"{container} is {state}: {logs.stdout}{logs.stderr}")
        time.sleep(0.1)


def test_the_provisioner_makes_everything_and_ends(pipeline: Pipeline) -> None:
    """Before any service runs; exit code 0, or the fixture would not be here."""
    assert "made the stream EVENTS" in pipeline.made
    assert "made the consumer healer" in pipeline.made


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_becomes_healthy_without_rights(pipeline: Pipeline, service: str) -> None:
    """Read-only, no capabilities, a user without a name elsewhere; tini takes in what its children leave."""
    name = pipeline.names[service]
    health(name, "healthy")
    look = "id -u; cat /proc/1/comm; touch /opt/greenrun/x 2>&1; grep CapEff /proc/self/status"
    said = docker("exec", name, "bash", "-c", look).stdout
    assert said.splitlines()[:2] == ["10001", "tini"]
    assert "Read-only file system" in said
    assert said.rstrip().endswith("0000000000000000")


def test_services_are_unhealthy_while_nats_is_paused(pipeline: Pipeline) -> None:
    """A server that takes no answer back is gone for the service, and back when it goes on."""
    name = pipeline.names["monitor"]
    health(name, "healthy")
    docker("pause", pipeline.nats)
    try:
        said = health(name, "unhealthy")["Log"][-1]["Output"]
    finally:
        docker("unpause", pipeline.nats)
    assert "the consumer monitor has not answered for" in said
    health(name, "healthy")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_ends_gracefully(pipeline: Pipeline, service: str) -> None:
    """SIGTERM is enough, long before the engine would kill it: exit code 0, and the log's last word is `stopped`."""
    name = pipeline.names[service]
    health(name, "healthy")
    docker("stop", "--time", "20", name)
    assert inspected(name)["ExitCode"] == 0
    assert '"event": "stopped"' in docker("logs", name).stderr.splitlines()[-1]


@pytest.mark.parametrize("service", [*SERVICES, "provisioner"])
def test_wrong_settings_are_refused_in_a_sentence(service: str) -> None:
    """No traceback, and the name of the variable."""
    done = docker("run", "--rm", *HARDENED, "--env", "CONCURRENCY=many", images.name(service), check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{service}: wrong settings: CONCURRENCY: ")
    assert "Traceback" not in done.stderr


def test_the_sandbox_runs_its_gitlab_without_rights() -> None:
    """It answers, and ends when it is told to."""
    asking = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8929/').status)"
    command = ("greenrun", "sandbox", "gitlab", "--data", "/tmp/gitlab", "--token", "t")
    container = docker("run", "--detach", *HARDENED, images.name("sandbox"), *command).stdout.strip()
    try:
        deadline = time.monotonic() + DEADLINE
        while (answer := docker("exec", container, "python", "-c", asking, check=False)).returncode:
            assert time.monotonic() < deadline, answer.stderr
            time.sleep(0.1)
        assert answer.stdout == "200\n"
        docker("stop", "--time", "20", container)
        assert inspected(container)["ExitCode"] == 0
    finally:
        docker("rm", "--force", container)


def test_programs_are_where_they_are_needed_and_nowhere_else() -> None:
    """Only git reads and imports repositories, skopeo copies images; the others have neither, and none has uv."""
    has = {service: _programs(service) for service in images.IMAGES}
    assert {service for service, found in has.items() if "git" in found} == {"analyzer", "committer", "sandbox"}
    assert {service for service, found in has.items() if "skopeo" in found} == {"seeder"}
    assert [service for service, found in has.items() if "uv" in found] == []


def _programs(service: str) -> set[str]:
    look = "type -P git skopeo uv | xargs -rn1 basename; git --version; skopeo --version; exit 0"
    said = docker("run", "--rm", "--network", "none", "--entrypoint", "bash", images.name(service), "-c", look).stdout
    return {line for line in said.splitlines() if " " not in line}


def test_images_say_what_they_are_and_are_small() -> None:
    """Labels of the OCI, the version of pyproject.toml, and no image over its limit."""
    version = tomllib.loads((Path(images.__file__).parents[1] / "pyproject.toml").read_text())["project"]["version"]
    for service in images.IMAGES:
        said = docker("image", "inspect", "--format", "{{json .Config}}", images.name(service)).stdout
        config = json.loads(said)
        labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
        assert (labels["title"], labels["version"]) == (f"greenrun {service}", version)
        assert labels["licenses"] == "Apache-2.0"
        assert config["User"] == "10001:10001"
    assert images.too_large(images.sizes(images.IMAGES)) == []
