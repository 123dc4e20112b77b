"""Write what the chart knows of the code: `python scripts/chart_settings.py`.

`deploy/helm/greenrun/files/facts.yaml` says for each service which settings and secrets its settings class has, and
which consumers it reads; `values.schema.json` gets the same as `definitions`, so that Helm refuses a setting that a
service does not have. Everything else in the schema is written by hand.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from shared import topology  # noqa: E402 - run as a script, the project is found by its folder
from shared.settings import CommonSettings  # noqa: E402

CHART = ROOT / "deploy" / "helm" / "greenrun"
# What the chart sets from other values (HEALTH_FILE: the image), and what all containers of one system must have alike.
CHARTS_OWN = {
    "HEALTH_FILE",
    *("NATS_URL", "NATS_USER", "NATS_REPLICAS", "CONCURRENCY"),
    *("GATEWAY_HOST", "GATEWAY_PORT", "CHROMADB_HOST", "CHROMADB_PORT"),
}
ALIKE = {"ACK_WAIT"}
KEPT = ("type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "description")


def classes() -> dict[str, type[CommonSettings]]:
    """The settings class of each service, and of the provisioner, which has none of its own."""
    found = {row.service: import_module(f"services.{row.service}.settings").Settings for row in topology.TOPOLOGY}
    return {**found, "provisioner": CommonSettings}


def secret_names(settings: type[CommonSettings]) -> list[str]:
    """The settings that are secrets, in lower case, as the files of a Secret are named."""
    fields = settings.model_fields.items()
    return sorted(
        name for name, field in fields if "SecretStr" in str(field.annotation) or field.annotation is SecretStr
    )


def plain_settings(settings: type[CommonSettings]) -> dict[str, dict[str, Any]]:
    """The schema of each setting that is no secret and not the chart's own, by its variable's name."""
    secrets = secret_names(settings)
    properties = settings.model_json_schema()["properties"]
    names = sorted(name for name in properties if name not in secrets and name.upper() not in CHARTS_OWN)
    return {name.upper(): _value(properties[name]) for name in names}


def _value(schema: dict[str, Any]) -> dict[str, Any]:
    """A setting's schema as Helm needs it: without its default, and without None, which is a value left away."""
    chosen: dict[str, Any] = next((one for one in schema.get("anyOf", []) if one.get("type") != "null"), {})
    return {key: value for key, value in (schema | chosen).items() if key in KEPT}


def facts() -> dict[str, Any]:
    """What the templates read."""
    return {
        "stream": topology.EVENTS_STREAM,
        "services": {
            name: {
                "settings": list(plain_settings(settings)),
                "secrets": secret_names(settings),
                "consumers": _consumers(name),
            }
            for name, settings in classes().items()
        },
    }


def _consumers(service: str) -> list[str]:
    rows = {row.service: row for row in topology.TOPOLOGY}
    if service not in rows or rows[service].reads is None:
        return []
    intake = [topology.INTAKE_CONSUMER] if rows[service].reads is topology.INTAKE_TYPE else []
    return [service, *intake]


def definitions(row: dict[str, Any]) -> dict[str, Any]:
    """The schema's definitions: all shared settings and secrets, and one row for each service."""
    shared: dict[str, Any] = {}
    secrets: set[str] = set()
    found: dict[str, Any] = {}
    for name, settings in classes().items():
        plain, hidden = plain_settings(settings), secret_names(settings)
        # Where classes bound a setting differently, the service itself refuses what is out of its own.
        shared = {**plain, **shared}
        secrets |= set(hidden)
        own = {key: value for key, value in plain.items() if key not in ALIKE}
        found[f"secrets-{name}"] = _object({key: {"type": "string"} for key in hidden})
        if name != "provisioner":
            found[name] = _object({**row["properties"], **_of(name, own)})
    return {"settings": _object(dict(sorted(shared.items()))), "secrets": _strings(secrets), **found}


def _of(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"env": _object(settings), "secrets": {"$ref": f"#/definitions/secrets-{name}"}}


def _strings(names: set[str]) -> dict[str, Any]:
    return _object({name: {"type": "string"} for name in sorted(names)})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def written() -> dict[Path, str]:
    """The files as they should be."""
    schema_path = CHART / "values.schema.json"
    schema = json.loads(schema_path.read_text())
    schema["definitions"] |= definitions(schema["definitions"]["row"])
    head = "# What the code says of each service; written by scripts/chart_settings.py.\n"
    return {
        CHART / "files" / "facts.yaml": head + yaml.safe_dump(facts(), sort_keys=False, width=120),
        schema_path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
    }


def main() -> None:
    """Write both files."""
    for path, text in written().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
