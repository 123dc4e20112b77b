"""Images that a job or its Dockerfile names: pulled from the private registry, or a failure in the engine's words."""

from __future__ import annotations

import json
import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from .conftest import push, run


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("${REGISTRY}/python:9", "manifest for {r}/python:9 not found: manifest unknown: manifest unknown"),
        ("${REGISTRY}/org/none:1", "manifest for {r}/org/none:1 not found: manifest unknown"),
        ("python:3.12-slim", 'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: i/o'),
        ("ghcr.io/a/b:1", 'Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io: i/o timeout'),
        ("${MISSING}/python:3", "invalid reference format"),
        ("${REGISTRY}/Python:3", "invalid reference format"),
    ],
)
async def test_an_image_that_cannot_be_pulled_fails_the_job(registry: str, image: str, words: str) -> None:
    """Missing, foreign and malformed images fail in the words of runner and engine."""
    done = await run(f"a: {{image: '{image}', script: [x]}}", registry)
    assert done.statuses == {"a": "failed"}
    assert done.reasons["a"] == "runner_system_failure"
    expanded = image.replace("${REGISTRY}", registry).replace("${MISSING}", "")
    trace = done.traces["a"]
    assert f'ERROR: Job failed: failed to pull image "{expanded}" with specified policies [always]: ' in trace
    assert words.format(r=registry) in trace
    assert "(manager.go:" in trace


async def test_a_missing_service_fails_the_job(registry: str) -> None:
    """Services are pulled as images are."""
    done = await run('a: {image: "$REGISTRY/redis:7", services: ["$REGISTRY/pg:1"], script: [x]}', registry)
    assert f"manifest for {registry}/pg:1 not found" in done.traces["a"]


async def test_a_registry_that_is_down_refuses_the_connection() -> None:
    """Nothing listens on the port: connection refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
        done = await run('a: {image: "$REGISTRY/python:3", script: [x]}', host)
    assert f"dial tcp {host}: connect: connection refused" in done.traces["a"]
    assert done.reasons["a"] == "runner_system_failure"


@pytest.mark.parametrize(
    ("head", "get", "words"),
    [
        (401, 401, "no basic auth credentials"),
        (403, 403, "denied: requested access to the resource is denied"),
        (429, 429, "toomanyrequests"),
        (500, 500, "received unexpected HTTP status: 500"),
        (200, 404, "manifest unknown: manifest unknown"),
        (405, 502, "received unexpected HTTP status: 502"),
        (200, 200, "invalid manifest"),
    ],
)
async def test_a_registry_that_refuses_fails_the_job(head: int, get: int, words: str) -> None:
    """Whatever HEAD or GET answer but a manifest is a failed pull."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=head if request.method == "HEAD" else get, text="no manifest")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(app) as server:
        done = await run('a: {image: "$REGISTRY/x:1", script: [x]}', f"127.0.0.1:{server.port}")
    assert done.statuses == {"a": "failed"}
    assert words in done.traces["a"]


async def test_an_index_without_this_platform_is_refused(registry: str) -> None:
    """An image for another machine alone cannot be pulled; one for several can."""
    push(registry, "only-arm:1", ["arm64"])
    push(registry, "both:1", ["arm64", "amd64"])
    done = await run(
        'a: {image: "$REGISTRY/only-arm:1", script: [x]}\nb: {image: "$REGISTRY/both:1", script: [x]}', registry
    )
    assert done.statuses == {"a": "failed", "b": "success"}
    assert "no matching manifest for linux/amd64" in done.traces["a"]


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        ("FROM $REGISTRY/python:9\n", "MANIFEST_UNKNOWN"),
        ("ARG REGISTRY\nFROM ${REGISTRY}/python:9\n", "MANIFEST_UNKNOWN: manifest unknown"),
        ("FROM node:20\n", "registry-1.docker.io"),
        ("FORM x\n", "unknown instruction: FORM"),
        ("RUN x\n", "no build stage in current context"),
        ("", "file with no instructions"),
        ("ARG REGISTRY\nFROM ${REGISTRY}/python:3.12-slim\nCOPY --from=node:20 /a /b\n", "registry-1.docker.io"),
        (None, "please provide a valid path to a Dockerfile"),
    ],
)
async def test_a_build_whose_parents_are_missing_fails(registry: str, dockerfile: str | None, words: str) -> None:
    """The builder's words, exit code 1, script_failure."""
    script = "/kaniko/executor --dockerfile $CI_PROJECT_DIR/Dockerfile --build-arg REGISTRY=$REGISTRY"
    files = {} if dockerfile is None else {"Dockerfile": dockerfile}
    done = await run(f"a: {{script: ['{script}']}}", registry, files=files)
    if dockerfile == "FROM $REGISTRY/python:9\n":
        words = "invalid reference format"
    assert words in done.traces["a"]
    assert "ERROR: Job failed: exit code 1" in done.traces["a"]
    assert done.reasons["a"] == "script_failure"


@pytest.mark.parametrize(
    ("command", "passes", "words"),
    [
        ("docker buildx build --build-arg REGISTRY -t x .", True, ""),
        (
            "docker build --build-arg=REGISTRY=nowhere:5000 .",
            False,
            "failed to resolve source metadata for nowhere:5000",
        ),
        ("buildah bud -f Dockerfile --build-arg REGISTRY=${REGISTRY:-x} .", True, ""),
        ("buildah build --isolation chroot .", False, "initializing source docker://unset:1/python:3.12-slim"),
        ("A=$REGISTRY && export B=1; buildctl-daemonless.sh build --opt build-arg:REGISTRY=$A", True, ""),
        ("buildctl build --opt filename=Other", False, "failed to read dockerfile: open Other: no such file"),
        ("docker build sub", True, ""),
        ("docker build -f sub/None .", False, "failed to read dockerfile: open sub/None"),
        ("echo building with docker", True, ""),
        ("echo 'FROM x' > Dockerfile && docker build .", True, ""),
    ],
)
async def test_every_builder_is_understood(registry: str, command: str, passes: bool, words: str) -> None:
    """docker, buildah and buildctl: their options, their words."""
    text = "ARG REGISTRY=unset:1\nFROM ${REGISTRY}/python:3.12-slim AS a\nRUN <<END\nFROM heredoc\nEND\nFROM a\n"
    files = {"Dockerfile": text, "sub/Dockerfile": "FROM scratch\n"}
    done = await run(json.dumps({"a": {"script": [command]}}), registry, files=files)
    assert done.statuses == {"a": "success" if passes else "failed"}, done.traces["a"]
    assert words in done.traces["a"]
