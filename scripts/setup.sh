#!/usr/bin/env bash
# Install what greenrun needs: a few programs of the distribution, uv, and the locked Python dependencies in .venv.
# Safe to run again; does nothing where everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

find_python() {
  local name
  for name in python3.14 python3.13 python3.12 python3.11 python3; do
    if have "$name" && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  fail "Python 3.11 or newer is not on PATH; install it (Debian 12 and Ubuntu 24.04 have it as python3)"
}

# program:Debian package. docker-registry is optional: without it the sandbox brings its own registry.
missing_packages() {
  local pair
  for pair in git:git skopeo:skopeo docker-registry:docker-registry; do
    have "${pair%%:*}" || echo "${pair##*:}"
  done
  "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || echo "python3-venv"
}

install_packages() {
  local as_root="sudo"
  [ "$(id -u)" != 0 ] || as_root="env"
  if have apt-get && have "$as_root"; then
    say "installing $*"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null ||
      fail "apt-get could not install $*; install them by hand and run make setup again"
  elif have brew; then
    local program
    for program in git skopeo; do
      have "$program" || fail "$program is missing; install it with: brew install $program"
    done
  else
    fail "missing: $*; install them with your package manager and run make setup again"
  fi
}

find_uv() {
  if have uv; then
    echo uv
    return
  fi
  [ -x .tools/bin/uv ] || {
    "$PYTHON" -m venv .tools >&2
    .tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" >&2
  }
  echo .tools/bin/uv
}

PYTHON=$(find_python)
packages=$(missing_packages)
# shellcheck disable=SC2086 # one word a package
[ -z "$packages" ] || install_packages $packages
UV=$(find_uv)
say "installing the locked dependencies into .venv"
UV_PYTHON_DOWNLOADS=never "$UV" sync --locked --quiet --python "$PYTHON" --extra embedded
say "ready: .venv/bin/greenrun"
