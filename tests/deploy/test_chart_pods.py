"""The chart's pods: what they may do, how they are watched, replaced and scaled."""

from __future__ import annotations

from typing import Any

import pytest

from scripts import chart_settings
from shared import topology
from tests.deploy.rendering import SERVICES, container, needs_helm, pods, rendered, selects

pytestmark = needs_helm


def budget(replicas: int, **values: Any) -> Any:
    """The disruption budget of the seeder with so many replicas."""
    services = {"seeder": {"replicas": replicas}}
    spec = rendered("PodDisruptionBudget", services=services, **values)["seeder"]["spec"]
    return {key: value for key, value in spec.items() if key != "selector"}


@pytest.mark.parametrize("service", [*SERVICES, "provisioner"])
def test_a_pod_may_do_no_more_than_it_must(service: str) -> None:
    """Not root, a root file system that cannot be written, no capability, no token of the cluster, bounded scratch."""
    spec = pods()[service]["spec"]
    [only] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == f"greenrun-{service}"
    assert rendered("ServiceAccount")[service]["automountServiceAccountToken"] is False
    assert [one["emptyDir"]["sizeLimit"] for one in spec["volumes"] if one["name"] == "tmp"]
    assert only["resources"]["limits"]["memory"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_watched_spread_and_replaced_without_a_gap(service: str) -> None:
    """Its health decides, replicas stand apart, a new one is there before an old one goes, and a drain leaves one."""
    deployment = rendered("Deployment")[service]
    health = ["python", "-m", "shared.health"]
    assert container(service)["livenessProbe"]["exec"]["command"] == [*health, "--live"]
    assert container(service)["startupProbe"]["exec"]["command"] == [*health, "--live"]
    ready = {"httpGet": {"path": "/readyz", "port": "http"}} if service == "gateway" else {"exec": {"command": health}}
    assert ready.items() <= container(service)["readinessProbe"].items()
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert len(deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]) == 2
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    [guard] = [one for one in rendered("PodDisruptionBudget").values() if selects(one["spec"]["selector"], labels)]
    assert guard["metadata"]["name"] == f"greenrun-{service}"
    assert selects(deployment["spec"]["selector"], labels)


@pytest.mark.parametrize(
    ("service", "setting"),
    [
        ("analyzer", "clone_timeout"),
        ("committer", "clone_timeout"),
        ("generator", "llm_timeout"),
        ("healer", "llm_timeout"),
        ("seeder", "copy_timeout"),
    ],
)
def test_a_service_has_the_time_to_end_what_is_in_hand(service: str, setting: str) -> None:
    """The grace is longer than the longest single thing that it does."""
    longest = chart_settings.classes()[service].model_fields[setting].default
    assert pods()[service]["spec"]["terminationGracePeriodSeconds"] > longest


def test_images_are_called_as_they_are_built() -> None:
    """REPOSITORY/SERVICE:TAG, the provisioner too; without a tag it is the chart's version."""
    values = {"image": {"repository": "registry.example/greenrun", "tag": "1.2"}}
    images = {name: pod["spec"]["containers"][0]["image"] for name, pod in pods(**values).items()}
    assert images == {name: f"registry.example/greenrun/{name}:1.2" for name in (*SERVICES, "provisioner")}
    assert container("healer")["image"] == "greenrun/healer:0.1.0"


def test_a_drain_leaves_one_of_two_and_is_never_stopped_by_one() -> None:
    """Two replicas: one has to stay. One: it may go, or its node could not be drained."""
    assert budget(2) == {"minAvailable": 1}
    assert budget(5) == {"minAvailable": 4}
    assert budget(1) == {"maxUnavailable": 1}
    assert budget(5, keda={"enabled": True}) == {"minAvailable": 1}


def test_streams_are_made_again_when_what_makes_them_changed() -> None:
    """A Job cannot be changed: another image or setting is another Job, everything else is the same."""
    [first] = rendered("Job")
    assert [first] == list(rendered("Job", services={"gateway": {"replicas": 3}}))
    assert [first] != list(rendered("Job", image={"tag": "2"}))
    assert [first] != list(rendered("Job", natsReplicas=1))


def test_the_autoscaler_watches_the_consumers_that_the_services_read() -> None:
    """Each ScaledObject names its Deployment, the stream and the durable consumers of the topology."""
    objects = rendered("ScaledObject", keda={"enabled": True})
    found = {
        name: [(one["metadata"]["stream"], one["metadata"]["consumer"]) for one in scaled["spec"]["triggers"]]
        for name, scaled in objects.items()
    }
    durables = {one["durable_name"] for one in topology.consumers(ack_wait=1)}
    assert {pair for pairs in found.values() for pair in pairs} == {("EVENTS", name) for name in durables}
    assert all((topology.EVENTS_STREAM, name) in pairs for name, pairs in found.items())
    assert set(found) == set(SERVICES) - {"gateway"}
    assert {name: one["spec"]["scaleTargetRef"]["name"] for name, one in objects.items()} == {
        name: f"greenrun-{name}" for name in found
    }


def test_an_upgrade_does_not_undo_what_the_autoscaler_did() -> None:
    """Where it scales, the Deployment has no replicas; the gateway reads no consumer and keeps its own."""
    scaled = rendered("Deployment", keda={"enabled": True})
    assert {name for name, one in scaled.items() if "replicas" in one["spec"]} == {"gateway"}
    assert all(one["spec"]["replicas"] == 2 for one in rendered("Deployment").values())


def test_lag_is_measured_in_replicas() -> None:
    """What is in hand counts as lag: a replica for twice its concurrency, for the monitor what it may follow."""
    services = {"seeder": {"concurrency": 10}}
    objects = rendered("ScaledObject", keda={"enabled": True}, services=services)
    lags = {name: objects[name]["spec"]["triggers"][0]["metadata"]["lagThreshold"] for name in ("seeder", "monitor")}
    assert lags == {"seeder": "20", "monitor": "4000"}
