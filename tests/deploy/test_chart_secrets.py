"""Which secrets of the chart are where: each service has its own, as files, and no other's."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import SecretStr

from scripts import chart_settings
from tests.deploy.rendering import SERVICES, needs_helm, pods, rendered

pytestmark = needs_helm


@pytest.mark.parametrize("service", [*SERVICES, "provisioner"])
def test_a_service_sees_its_own_secrets_alone(service: str) -> None:
    """The files under /run/secrets are the secret settings of its class, from its own Secret."""
    spec = pods()[service]["spec"]
    [sources] = [one["projected"]["sources"] for one in spec["volumes"] if one["name"] == "secrets"]
    fields = chart_settings.classes()[service].model_fields
    hidden = {name for name, field in fields.items() if SecretStr.__name__ in str(field.annotation)}
    assert {item["path"] for one in sources for item in one["secret"]["items"]} == hidden
    assert {one["secret"]["name"] for one in sources} == {f"greenrun-{service}"}
    assert {one["mountPath"]: one.get("readOnly") for one in spec["containers"][0]["volumeMounts"]}["/run/secrets"]


def test_a_secret_goes_to_those_that_have_the_setting() -> None:
    """A shared token is in three Secrets; what one service has for itself is in one."""
    made = rendered(
        "Secret", secrets={"gitlab_token": "shared"}, services={"healer": {"secrets": {"openai_api_key": "own"}}}
    )
    data = {
        name: {key: base64.b64decode(value).decode() for key, value in one["data"].items()}
        for name, one in made.items()
    }
    token = {"gitlab_token": "shared"}
    assert data == {"analyzer": token, "committer": token, "monitor": token, "healer": {"openai_api_key": "own"}}


def test_a_secret_made_elsewhere_is_used_and_not_made() -> None:
    """With existingSecret nothing of that service is in a Secret of the chart's."""
    values: dict[str, Any] = {"secrets": {"gitlab_token": "x"}, "services": {"monitor": {"existingSecret": "vault"}}}
    assert set(rendered("Secret", **values)) == {"analyzer", "committer"}
    [sources] = [v["projected"]["sources"] for v in pods(**values)["monitor"]["spec"]["volumes"] if "projected" in v]
    assert {one["secret"]["name"] for one in sources} == {"vault"}


def test_a_pod_waits_for_what_it_cannot_do_without() -> None:
    """The password of NATS's user and the gateway's token are no option; without users there is no password."""
    assert needed("gateway") == {"nats_password", "gateway_token"}
    assert needed("monitor") == {"nats_password"}
    assert needed("monitor", natsAuth={"method": "nkey"}) == {"nats_nkey_seed"}
    assert needed("monitor", natsAuth={"enabled": False}) == set()


def needed(service: str, **values: Any) -> set[str]:
    """The secrets without which the pod does not start."""
    volumes = pods(**values)[service]["spec"]["volumes"]
    sources = [one["secret"] for volume in volumes if "projected" in volume for one in volume["projected"]["sources"]]
    return {item["key"] for one in sources if not one["optional"] for item in one["items"]}


def test_a_changed_secret_rolls_its_pods_alone() -> None:
    """Secrets are read at the start."""
    first, second = (pods(services={"healer": {"secrets": {"openai_api_key": key}}}) for key in ("a", "b"))
    changed = {name for name in first if first[name]["metadata"] != second[name]["metadata"]}
    assert changed == {"healer"}
