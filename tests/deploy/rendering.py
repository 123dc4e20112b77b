"""The chart's objects under some values, as the tests look at them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from scripts import chart
from shared import topology

needs_helm = pytest.mark.skipif(not chart.installed(), reason="Helm's engine is not here: scripts/chart-tools.sh")
SERVICES = tuple(row.service for row in topology.TOPOLOGY)
EXTERNAL: dict[str, Any] = {
    "enabled": False,
    "external": {"url": "nats://n.example:4222", "monitoring": "n.example:8222"},
}


def rendered(kind: str, **values: Any) -> dict[str, chart.Manifest]:
    """The objects of one kind with these values and an external NATS, by name without the release."""
    found = json.loads(_rendered(json.dumps({"nats": EXTERNAL} | values)))
    return {one["metadata"]["name"].removeprefix("greenrun-"): one for one in found if one["kind"] == kind}


@cache
def _rendered(values: str) -> str:
    """What many tests look at is rendered once."""
    return json.dumps(chart.manifests(json.loads(values)))


def pods(**values: Any) -> dict[str, Any]:
    """The pod templates of all services and the provisioner, by component."""
    owners = [*rendered("Deployment", **values).values(), *rendered("Job", **values).values()]
    templates = [owner["spec"]["template"] for owner in owners]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in templates}


def container(service: str, **values: Any) -> Any:
    """The only container of a service."""
    [only] = pods(**values)[service]["spec"]["containers"]
    return only


def environment(service: str, **values: Any) -> dict[str, str]:
    """The variables of a service."""
    return {one["name"]: one["value"] for one in container(service, **values)["env"]}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector of labels matches."""
    wanted = selector.get("matchLabels", selector) if selector else {}
    return wanted.items() <= labels.items()
