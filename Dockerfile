# One file for every image: docker build --build-arg SERVICE=analyzer .
# SERVICE is one of the nine services, provisioner, or sandbox; docs/containers.md says more.
#
# BuildKit of Docker 20.10 or newer. What the images share comes first, so that the second to the eleventh build are
# quick and their layers are stored once: tini, the virtual environment's own files, greenrun's code.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG SERVICE

# uv, from the same index as everything else: an image of it might not be reachable.
FROM ${PYTHON_IMAGE} AS uv
ARG UV_VERSION=0.13.9
ARG PYPI_INDEX=https://pypi.org/simple
# The secret `ca` is an optional bundle of certificates, for a proxy or mirror with an authority of its own; an empty one
# says nothing. It is no part of the image.
ENV UV_CACHE_DIR=/var/cache/uv \
    UV_COMPILE_BYTECODE=1 \
    UV_DEFAULT_INDEX=${PYPI_INDEX} \
    UV_LINK_MODE=copy \
    UV_PYTHON=/usr/local/bin/python3 \
    UV_PYTHON_DOWNLOADS=never
RUN --mount=type=secret,id=ca,required=false \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --index-url "${PYPI_INDEX}" "uv==${UV_VERSION}"
WORKDIR /build

# greenrun's own code, the same in every image. The line in the environment's site-packages finds it.
FROM uv AS code
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY services services
COPY sandbox sandbox
COPY greenrun greenrun
RUN --mount=type=secret,id=ca,required=false --mount=type=cache,target=/var/cache/uv,sharing=locked \
    if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi; \
    uv build --quiet --wheel --out-dir /wheel && \
    uv pip install --quiet --no-deps --target /opt/greenrun/code /wheel/*.whl

# The locked packages of one service. The lock has the hash of each file, whichever index it comes from.
FROM uv AS packages
COPY pyproject.toml uv.lock ./
RUN uv venv --quiet /opt/greenrun/venv && \
    echo /opt/greenrun/code >"$(echo /opt/greenrun/venv/lib/python3.*/site-packages)/greenrun.pth"
ARG SERVICE
RUN --mount=type=secret,id=ca,required=false --mount=type=cache,target=/var/cache/uv,sharing=locked \
    if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi; \
    env --unset UV_DEFAULT_INDEX uv export --quiet --locked --offline --no-dev --no-emit-project --extra "${SERVICE}" \
        --output-file /build/locked.txt && \
    uv pip install --quiet --require-hashes --python /opt/greenrun/venv --requirements /build/locked.txt

# What every image runs on. tini is process 1: it hands signals on to Python, and takes in what git, skopeo and model
# commands leave behind when they are ended (Python waits for its own children alone).
FROM ${PYTHON_IMAGE} AS plain
ARG DEBIAN_MIRROR
RUN --mount=type=secret,id=ca,required=false,mode=0444 \
    --mount=type=bind,source=scripts/image-packages.sh,target=/packages.sh \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    /packages.sh tini && \
    useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin greenrun
ENV HEALTH_FILE=/tmp/health.json \
    HOME=/tmp \
    PATH=/opt/greenrun/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/greenrun
ENTRYPOINT ["/usr/bin/tini", "--", "python", "-m"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=2 CMD ["python", "-m", "shared.health"]

# git as the analyzer and the committer use it: fetch, read, pack, push. Its Perl is for commands that they never call,
# and would be half of the image.
FROM plain AS git
RUN --mount=type=secret,id=ca,required=false,mode=0444 \
    --mount=type=bind,source=scripts/image-packages.sh,target=/packages.sh \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    /packages.sh ca-certificates git openssh-client && \
    dpkg --purge --force-depends git-man liberror-perl perl perl-modules-5.36 libperl5.36 && \
    rm -rf /var/log/dpkg.log

# skopeo copies images and runs none: it needs no networks for containers.
FROM plain AS skopeo
RUN --mount=type=secret,id=ca,required=false,mode=0444 \
    --mount=type=bind,source=scripts/image-packages.sh,target=/packages.sh \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    /packages.sh ca-certificates skopeo && \
    dpkg --purge --force-depends containernetworking-plugins gnupg-l10n iptables && \
    rm -rf /var/log/dpkg.log

# Which image stands on what, and what it runs.
FROM plain AS for-gateway
EXPOSE 8080
CMD ["services.gateway"]
FROM git AS for-analyzer
CMD ["services.analyzer"]
FROM plain AS for-retriever
CMD ["services.retriever"]
FROM plain AS for-generator
CMD ["services.generator"]
FROM skopeo AS for-seeder
CMD ["services.seeder"]
FROM git AS for-committer
CMD ["services.committer"]
FROM plain AS for-monitor
CMD ["services.monitor"]
FROM plain AS for-healer
CMD ["services.healer"]
FROM plain AS for-learner
CMD ["services.learner"]
# Ends when the streams and consumers are there.
FROM plain AS for-provisioner
HEALTHCHECK NONE
CMD ["shared.provision"]
# Stand-ins for GitLab, a registry and the world's registries; which one, the command says.
FROM git AS for-sandbox
HEALTHCHECK NONE
RUN install --directory --owner=10001 --group=10001 /data
CMD ["greenrun", "sandbox", "--help"]

# hadolint ignore=DL3006
FROM for-${SERVICE}
COPY --from=packages /opt/greenrun/venv /opt/greenrun/venv
COPY --from=code /opt/greenrun/code /opt/greenrun/code
USER 10001:10001
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="greenrun ${SERVICE}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
