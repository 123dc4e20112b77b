#!/usr/bin/env bash
# Used by the Dockerfile alone, inside an image: install these packages of Debian and leave nothing else behind.
#   DEBIAN_MIRROR   in place of http://deb.debian.org, where that cannot be reached
#   /run/secrets/ca certificates that an https mirror is judged by, where they are given; apt reads them without rights
set -euo pipefail

options=(-qq)
if [ -n "${DEBIAN_MIRROR:-}" ]; then
  { grep -rlF http://deb.debian.org /etc/apt || true; } | xargs -r sed -i "s#http://deb.debian.org#$DEBIAN_MIRROR#"
fi
if [ -s /run/secrets/ca ]; then options+=(-o "Acquire::https::CaInfo=/run/secrets/ca"); fi
apt-get "${options[@]}" update
DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install -y --no-install-recommends "$@" >/dev/null
rm -rf /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
