"""The chart's network: who reaches what, where NATS and Chroma are, and the way in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import chart, chart_settings
from shared.settings import ChromaSettings, GitLabSettings, OllamaSettings
from tests.deploy.rendering import EXTERNAL, SERVICES, environment, needs_helm, pods, rendered, selects

pytestmark = needs_helm


def destinations(service: str, **values: Any) -> set[int]:
    """The ports that a service may connect to beside DNS and NATS."""
    rules = rendered("NetworkPolicy", **values)[service]["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule["ports"]} - {53, 4222}


def test_nothing_is_open_that_no_policy_opens() -> None:
    """One policy denies every pod of the release both ways; each component has one of its own."""
    policies = rendered("NetworkPolicy")
    deny = policies.pop("deny")["spec"]
    assert set(deny) == {"podSelector", "policyTypes"}
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    for name, pod in pods().items():
        labels = pod["metadata"]["labels"]
        assert selects(deny["podSelector"], labels)
        assert [key for key, one in policies.items() if selects(one["spec"]["podSelector"], labels)] == [name]
    assert {name for name, one in policies.items() if one["spec"].get("ingress")} == {"chroma", "gateway"}


def test_a_service_goes_only_where_its_work_is() -> None:
    """The monitor reaches GitLab, the gateway and the learner Chroma, the provisioner nothing but NATS."""
    assert destinations("gateway") == {8000}
    assert destinations("provisioner") == set()
    assert destinations("monitor") == {80, 443}
    assert destinations("learner") == {8000}
    assert destinations("learner", settings={"EMBEDDER": "ollama:nomic"}) == {8000, 443, 11434}
    assert destinations("generator") == {443, 8000, 11434}


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_can_be_told_of_it_can_reach(service: str) -> None:
    """A service with GitLab's, Chroma's or a model's settings has a way there, and only such a service."""
    reach = set(yaml.safe_load((chart.CHART / "files" / "reach.yaml").read_text())[service])
    settings = chart_settings.classes()[service]
    assert ("gitlab" in reach) == issubclass(settings, GitLabSettings)
    assert ("chroma" in reach) == issubclass(settings, ChromaSettings)
    assert bool({"model", "embedder"} & reach) == issubclass(settings, OllamaSettings)


def test_no_service_reaches_the_metadata_of_a_cloud() -> None:
    """A way to everywhere leaves link-local addresses out; a destination that is given is the only one."""
    everywhere = rendered("NetworkPolicy")["analyzer"]["spec"]["egress"][-1]["to"]
    assert everywhere[0] == {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}
    to = [{"ipBlock": {"cidr": "192.0.2.10/32"}}]
    narrow = {"destinations": {"gitlab": {"to": to, "ports": [443]}}}
    assert rendered("NetworkPolicy", networkPolicy=narrow)["monitor"]["spec"]["egress"][-1]["to"] == to


def with_nats_chart(folder: Path) -> Path:
    """The chart with a stand-in for NATS's own under `charts`, as `helm dependency build` lays it."""
    copy = folder / "greenrun"
    shutil.copytree(chart.CHART, copy)
    templates = copy / "charts" / "nats" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "Chart.yaml").write_text("apiVersion: v2\nname: nats\nversion: 1.2.9\n")
    (templates / "set.yaml").write_text("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x-nats}\n")
    return copy


def test_nats_is_brought_along_or_comes_from_elsewhere(tmp_path: Path) -> None:
    """With an external NATS there is none in the release; otherwise its chart is rendered and all go there."""
    copy = with_nats_chart(tmp_path)
    assert chart.lint({}, copy) == []
    names = {one["metadata"]["name"] for one in chart.manifests({}, copy, "prod")}
    assert "x-nats" in names
    own = {one["metadata"]["name"] for one in chart.manifests({"nats": EXTERNAL}, copy, "prod")}
    assert not {name for name in own if name.endswith("nats")}
    jobs = [one for one in chart.manifests({}, copy, "prod") if one["kind"] == "Job"]
    [url] = [
        one["value"] for one in jobs[0]["spec"]["template"]["spec"]["containers"][0]["env"] if one["name"] == "NATS_URL"
    ]
    assert url == "nats://prod-nats:4222"
    assert environment("gateway")["NATS_URL"] == "nats://n.example:4222"


def test_chroma_is_brought_along_or_comes_from_elsewhere() -> None:
    """One or the other, and those that ask it are told where it is."""
    assert set(rendered("StatefulSet")) == {"chroma"}
    assert environment("learner")["CHROMADB_HOST"] == "greenrun-chroma"
    elsewhere = {"enabled": False, "external": {"host": "c.example", "port": 9000}}
    assert rendered("StatefulSet", chroma=elsewhere) == {}
    told = environment("learner", chroma=elsewhere)
    assert (told["CHROMADB_HOST"], told["CHROMADB_PORT"]) == ("c.example", "9000")
    assert "CHROMADB_HOST" not in environment("monitor")


def test_the_gateway_has_a_door() -> None:
    """The Service finds its pods, and the ingress the Service."""
    service = rendered("Service")["gateway"]["spec"]
    assert selects(service["selector"], pods()["gateway"]["metadata"]["labels"])
    assert environment("gateway")["GATEWAY_HOST"] == "0.0.0.0"
    assert rendered("Ingress") == {}
    ingress = rendered("Ingress", gateway={"ingress": {"enabled": True, "host": "g.example"}})["gateway"]["spec"]
    assert ingress["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == "greenrun-gateway"
