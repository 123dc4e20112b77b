"""Lint the chart, render it with each file of its `ci` folder, and hold every manifest to Kubernetes' own schemas.

`python scripts/chart.py`, or `make chart`. Helm's engine and the schemas stand in .tools/chart: scripts/chart-tools.sh.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".tools" / "chart"
CHART = ROOT / "deploy" / "helm" / "greenrun"
KEDA_SCHEMA = ROOT / "deploy" / "helm" / "scaledobject.schema.json"
# The oldest that Chart.yaml allows, and the newest whose schemas can be had.
KUBERNETES = ("1.27", "1.37")
WARNING = 2
# NATS's chart is fetched with `helm dependency build`, which a clone without a network has not done.
UNFETCHED = "chart directory is missing these dependencies: nats"

Values = dict[str, Any]
Manifest = dict[str, Any]


class ChartError(Exception):
    """Helm refuses the chart or the values; its words."""


def installed() -> bool:
    """Whether scripts/chart-tools.sh has been run."""
    return (TOOLS / "helm_python").is_dir() and (TOOLS / "kubernetes_validate").is_dir()


def lint(values: Values, chart: Path = CHART) -> list[str]:
    """What `helm lint` warns of or finds wrong."""
    report = _tool("helm_python").lint(chart, values)
    messages = [one["error"] for one in report["messages"] if one["severity"] >= WARNING]
    return [message for message in messages if UNFETCHED not in message]


def render(values: Values, chart: Path = CHART, name: str = "greenrun") -> dict[str, str]:
    """What `helm template` prints, by template; ChartError in Helm's words where it refuses."""
    helm = _tool("helm_python")
    try:
        with helm.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            rendered: dict[str, str] = loaded.render(values, name=name, namespace="ci")
    except helm.HelmError as error:
        raise ChartError(str(error)) from error
    return rendered


def manifests(values: Values, chart: Path = CHART, name: str = "greenrun") -> list[Manifest]:
    """The rendered objects."""
    files = render(values, chart, name).items()
    return [one for path, text in files if path.endswith(".yaml") for one in yaml.safe_load_all(text) if one]


def problem(manifest: Manifest, version: str) -> str | None:
    """What this version of Kubernetes finds wrong with an object, an unknown field included; None where nothing."""
    kubernetes = _tool("kubernetes_validate")
    try:
        if manifest["apiVersion"].startswith("keda.sh/"):
            jsonschema.validate(manifest, _keda())
        else:
            kubernetes.validate(manifest, version, strict=True)
    except jsonschema.ValidationError as error:
        place = ".".join(str(part) for part in error.absolute_path)
        return f"{manifest['kind']} {manifest['metadata']['name']}: {place}: {error.message[:300]}"
    return None


@cache
def _keda() -> Any:
    return json.loads(KEDA_SCHEMA.read_text())


def _tool(name: str) -> Any:
    """A module of .tools/chart; what this environment has comes first."""
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))
    return __import__(name)


def checked(path: Path) -> list[str]:
    """All that is wrong with the chart under one file of values."""
    values = yaml.safe_load(path.read_text())
    try:
        found = manifests(values)
    except ChartError as error:
        return [str(error)]
    problems = [wrong for one in found for version in KUBERNETES if (wrong := problem(one, version))]
    return [*lint(values), *problems]


def main() -> int:
    """0 where nothing is wrong."""
    worst = 0
    for path in sorted((CHART / "ci").glob("*-values.yaml")):
        problems = checked(path)
        worst |= bool(problems)
        sys.stdout.write(f"{path.name}: {'; '.join(problems) or 'fine'}\n")
    return worst


if __name__ == "__main__":
    sys.exit(main())
