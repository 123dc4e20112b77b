"""The chart, rendered by Helm's own engine: it is valid, knows the code's settings, and refuses what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import chart, chart_settings
from tests.deploy.rendering import EXTERNAL, SERVICES, environment, needs_helm, rendered

pytestmark = needs_helm

CASES = sorted((chart.CHART / "ci").glob("*-values.yaml"))
FULL = yaml.safe_load((chart.CHART / "ci" / "full-values.yaml").read_text())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_helm_and_kubernetes_find_nothing_wrong(path: Path) -> None:
    """Lint is clean, and every object is one that the oldest and the newest Kubernetes take."""
    assert chart.checked(path) == []


@pytest.mark.parametrize("kind", ["Deployment", "ScaledObject"])
def test_a_field_that_does_not_exist_is_found(kind: str) -> None:
    """The schemas that hold the manifests are strict: a misspelt field is no silence."""
    one = rendered(kind, keda={"enabled": True})["seeder"]
    one["spec"]["replica"] = 3
    assert "replica" in str(chart.problem(one, "1.37"))


def test_the_chart_knows_the_settings_of_the_code() -> None:
    """The tables in the chart are those of the settings classes; else run scripts/chart_settings.py."""
    for path, text in chart_settings.written().items():
        assert path.read_text() == text, f"{path.name} is not that of the code; run: python scripts/chart_settings.py"


@pytest.mark.parametrize("service", [*SERVICES, "provisioner"])
def test_a_service_starts_with_its_environment(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable is a setting of its class, and the class takes the value."""
    values = {key: value for key, value in FULL.items() if key != "nats"}
    given = environment(service, **values)
    given.pop("HTTPS_PROXY", None)
    settings = chart_settings.classes()[service]
    assert {name.lower() for name in given} <= set(settings.model_fields)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    loaded = settings()
    assert loaded.nats_user == service
    assert loaded.ack_wait == 45


def test_numbers_reach_a_service_as_they_were_written() -> None:
    """Helm reads numbers as floats; two billion bytes are not 2e+09."""
    given = environment(
        "analyzer", services={"analyzer": {"env": {"CLONE_MAX_BYTES": 2_000_000_000, "CLONE_TIMEOUT": 1.5}}}
    )
    assert (given["CLONE_MAX_BYTES"], given["CLONE_TIMEOUT"]) == ("2000000000", "1.5")


def test_only_the_provisioner_says_how_many_servers_keep_a_stream() -> None:
    """It alone makes streams."""
    assert environment("provisioner")["NATS_REPLICAS"] == "3"
    assert not any("NATS_REPLICAS" in environment(service) for service in SERVICES)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"service": {}}, "service"),
        ({"services": {"analyser": {}}}, "analyser"),
        ({"services": {"monitor": {"env": {"CHROMADB_TIMEOUT": 3}}}}, "CHROMADB_TIMEOUT"),
        ({"services": {"monitor": {"env": {"GITLAB_TOKEN": "x"}}}}, "GITLAB_TOKEN"),
        ({"services": {"monitor": {"env": {"MONITOR_INTERVAL": 0}}}}, "/services/monitor/env/MONITOR_INTERVAL"),
        ({"services": {"monitor": {"env": {"MONITOR_INTERVAL": "30s"}}}}, "/services/monitor/env/MONITOR_INTERVAL"),
        ({"services": {"monitor": {"secrets": {"registry_password": "x"}}}}, "registry_password"),
        ({"services": {"monitor": {"env": {"ACK_WAIT": 5}}}}, "ACK_WAIT"),
        ({"services": {"seeder": {"replicas": 0}}}, "/services/seeder/replicas"),
        ({"services": {"seeder": {"tmpSize": "4 GB"}}}, "/services/seeder/tmpSize"),
        (
            {"services": {"seeder": {"keda": {"minReplicas": 5, "maxReplicas": 3}}}, "keda": {"enabled": True}},
            "more than",
        ),
        ({"settings": {"GITLAB_UR": "x"}}, "GITLAB_UR"),
        ({"settings": {"GITLAB_TOKEN": "x"}}, "GITLAB_TOKEN"),
        ({"natsReplicas": 2}, "/natsReplicas"),
        ({"nats": {"enabled": False, "external": {"url": ""}}}, "nats.external.url must say where NATS is"),
        ({"nats": {"enabled": True}}, "nats.external.url is set: set nats.enabled=false"),
        ({"nats": {"external": {"url": "n:4222"}}}, "/nats/external/url"),
        ({"nats": {"external": {"monitoring": ""}}, "keda": {"enabled": True}}, "nats.external.monitoring must be"),
        ({"chroma": {"enabled": False}}, "chroma.external.host must say where Chroma is"),
        ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.host must be the name"),
    ],
    ids=lambda given: str(given)[:60] if isinstance(given, str) else "",
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], words: str) -> None:
    """Nothing that does nothing, or cannot work, is taken; the message says which value it is."""
    nats = {**EXTERNAL, **values.get("nats", {})}
    nats["external"] = {**EXTERNAL["external"], **values.get("nats", {}).get("external", {})}
    with pytest.raises(chart.ChartError, match=words):
        chart.render({**values, "nats": nats})
