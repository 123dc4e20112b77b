#!/usr/bin/env bash
# Install into .tools/chart what lints, renders and checks the chart: Helm's own engine (its Go library with a Python
# binding) and the schemas of Kubernetes. Safe to run again; does nothing where they are there.
set -euo pipefail
cd "$(dirname "$0")/.."

HELM_SDK_VERSION=0.2.2
KUBERNETES_VALIDATE_VERSION=1.37.0

[ ! -d .tools/chart/kubernetes_validate ] || exit 0
printf '\033[1m==>\033[0m %s\n' "installing Helm's engine and the schemas of Kubernetes for the chart"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --target .tools/chart \
  "helm-python-sdk==$HELM_SDK_VERSION" "kubernetes-validate==$KUBERNETES_VALIDATE_VERSION"
