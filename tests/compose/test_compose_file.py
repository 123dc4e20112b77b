"""compose.yaml as Compose reads it: valid for every profile; the least of settings, secrets, rights and networks."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from greenrun.exposure import secrets_of
from greenrun.secrets import ROUTES_FILE, USERS_FILE
from scripts import environment
from shared.permissions import PROVISIONER
from tests.compose.conftest import ROOT, SERVICES

OURS = (*SERVICES, PROVISIONER)
PROFILES = ("sandbox", "ollama", "observability", "cluster")
# Not passed: the user's name is the service's, and the image says the other two.
LEFT_TO_THE_IMAGE = {"NATS_USER", "HEALTH_FILE", "GATEWAY_PORT"}
# Who must reach GitLab, registries, forges or models; beside greenrun's own, the stand-ins for those.
OUTSIDE = {"analyzer", "committer", "generator", "healer", "monitor", "seeder"}
STAND_INS = {"gitlab", "registry", "upstream", "ollama"}
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def config(*profiles: str, **variables: str) -> dict[str, Any]:
    """What Compose makes of the file for these profiles, whatever this environment says."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    argv = ["docker", "compose", "--env-file", os.devnull, *chosen, "config", "--format", "json"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        argv, cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def everything(compose_plugin: None) -> dict[str, Any]:  # noqa: ARG001
    """The file with all profiles."""
    return config("*")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid(compose_plugin: None, profile: str) -> None:  # noqa: ARG001
    """Alone, and with the settings that go with it; without a profile there is nothing of the sandbox."""
    told = ROOT / "deploy" / f"{profile}.env"
    variables = {name: value or "" for name, value in dotenv_values(told).items()} if told.exists() else {}
    here = set(config(profile, **variables)["services"])
    plain = set(config()["services"])
    assert plain == {*OURS, "nats", "chroma"}
    assert here > plain


@pytest.mark.parametrize("service", OURS)
def test_a_service_is_told_the_settings_that_it_reads_and_no_other(everything: dict[str, Any], service: str) -> None:
    """A setting that is added to a class, or taken away, must be so in compose.yaml."""
    fields = environment.of_service(service).model_fields.items()
    read = {name.upper() for name, field in fields if not environment.is_secret(field)}
    told = set(everything["services"][service]["environment"])
    assert told == read - LEFT_TO_THE_IMAGE


@pytest.mark.parametrize("service", OURS)
def test_a_service_is_told_its_own_secrets_and_no_other(everything: dict[str, Any], service: str) -> None:
    """Its own NATS password, and what `greenrun.exposure` says that its settings need."""
    row = everything["services"][service]
    told = {Path(one["target"]).name: one["source"] for one in row["secrets"]}
    assert set(told) == secrets_of(service) - {"nats_nkey_seed"}
    assert told["nats_password"] == f"nats_password_{service}"


def test_only_the_log_and_the_stand_in_read_other_secrets(everything: dict[str, Any]) -> None:
    """NATS has the table of users, the sandbox's GitLab the token that it accepts, Grafana its own."""
    told = {
        name: {one["source"] for one in row.get("secrets", [])}
        for name, row in everything["services"].items()
        if name not in OURS
    }
    servers = {name: {USERS_FILE, ROUTES_FILE} for name in ("nats", "nats-2", "nats-3")}
    expected = {**servers, "gitlab": {"gitlab_token"}, "grafana": {"grafana_password"}}
    assert {name: secrets for name, secrets in told.items() if secrets} == expected


def test_no_container_has_more_rights_or_room_than_it_needs(everything: dict[str, Any]) -> None:
    """Read-only but for /tmp and volumes, no capability, bounds on memory, processes, processors and logs."""
    for name, row in everything["services"].items():
        assert row["read_only"] is True, name
        assert row["cap_drop"] == ["ALL"], name
        assert row["security_opt"] == ["no-new-privileges:true"], name
        assert row["logging"]["options"]["max-size"], name
        limits = row["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= limits.keys(), name
        assert not row.get("privileged"), name
        assert "/var/run/docker.sock" not in json.dumps(row), name


def test_what_is_published_is_published_to_this_machine_alone(everything: dict[str, Any]) -> None:
    """Until somebody says otherwise, nothing can be reached from the network."""
    published = [port for row in everything["services"].values() for port in row.get("ports", [])]
    assert published
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_only_who_needs_the_outside_has_a_way_there(everything: dict[str, Any]) -> None:
    """All of greenrun's are on the log's network, which leads nowhere; the templates are with those who use them."""
    networks = {name: set(row["networks"]) for name, row in everything["services"].items()}
    assert all("log" in networks[name] for name in OURS)
    assert {name for name, found in networks.items() if "outside" in found} == OUTSIDE | STAND_INS
    assert {name for name, found in networks.items() if "templates" in found} == {
        *("chroma", "gateway", "retriever", "learner", "ollama")
    }
    assert {name for name, row in everything["networks"].items() if row.get("internal")} == {
        *("log", "templates", "metrics")
    }
    for name in ("door", "operator"):
        assert everything["networks"][name]["driver_opts"] == {
            "com.docker.network.bridge.enable_ip_masquerade": "false"
        }


def test_services_wait_for_the_log_and_say_when_they_are_well(everything: dict[str, Any]) -> None:
    """After the provisioner, which waits for NATS; each with the image's own check."""
    for name in SERVICES:
        row = everything["services"][name]
        assert row["depends_on"][PROVISIONER]["condition"] == "service_completed_successfully"
        assert row["healthcheck"]["test"] == ["CMD", "python", "-m", "shared.health"]
        assert row["restart"] == "unless-stopped"
    assert everything["services"][PROVISIONER]["depends_on"]["nats"]["condition"] == "service_healthy"


def test_a_cluster_is_three_servers_and_two_of_each_service(compose_plugin: None) -> None:  # noqa: ARG001
    """With the settings that go with the profile."""
    variables = {name: value or "" for name, value in dotenv_values(ROOT / "deploy" / "cluster.env").items()}
    services = config("cluster", **variables)["services"]
    assert {"nats", "nats-2", "nats-3"} <= services.keys()
    assert {services[name]["deploy"]["replicas"] for name in SERVICES} == {2}
    assert services[PROVISIONER]["environment"]["NATS_REPLICAS"] == "3"
    assert all(services[name]["environment"]["NATS_URL"].count("nats://") == 3 for name in SERVICES)
    assert all(services[name]["command"] == ["--config", "/etc/nats/node.conf"] for name in ("nats", "nats-2"))


def test_the_example_has_every_setting_with_its_default() -> None:
    """`.env.example` is what `make env` writes; what compose.yaml asks for itself has the same default in both."""
    assert environment.EXAMPLE.read_text() == environment.example(), "run: make env"
    asked = dict(VARIABLE.findall((ROOT / "compose.yaml").read_text()))
    known = {name: default for name, default, _ in environment.COMPOSE}
    assert asked == known | {"NATS_URL": environment.IN_COMPOSE["NATS_URL"]}


@pytest.mark.parametrize("name", ["sandbox", "cluster"])
def test_a_file_of_settings_names_what_there_is(name: str) -> None:
    """A variable that nobody reads would be trusted to do something."""
    known = {line.partition("=")[0].lstrip("#") for line in environment.EXAMPLE.read_text().splitlines() if "=" in line}
    assert set(dotenv_values(ROOT / "deploy" / f"{name}.env")) <= known | {"COMPOSE_PROFILES"}


def test_the_dashboard_and_the_alerts_ask_for_what_the_exporter_tells() -> None:
    """Of the consumers and streams by the names that the topology has; every panel has its source."""
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "log.json").read_text())
    alerts = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    assert all(re.search(r"\b(jetstream_|gnatsd_|up\b)", expression) for expression in asked)
    assert set(re.findall(r'stream_name="(\w+)"', " ".join(asked))) == {"EVENTS", "DLQ"}
