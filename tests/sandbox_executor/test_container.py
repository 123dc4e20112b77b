"""The executor in the mode `container`: every job in its own image. Where no engine answers, only that is told."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.gitlab.executor import Mode
from sandbox.gitlab.executor_container import Engine, EngineFailed, find_engine
from sandbox.gitlab.server import serve
from sandbox.registry import serve_registry
from tests.engine import require

from .test_shell import Shell

BUSYBOX = shutil.which("busybox")
APPLETS = ("sh", "cat", "echo", "env", "grep", "httpd", "ls", "mkdir", "nc", "sleep", "test", "touch", "true", "wget")


@pytest.fixture
async def engine() -> Engine:
    """A container engine that answers."""
    found = await find_engine()
    if found is None:
        require()
        pytest.skip("no container engine answers (docker or podman)")
    if BUSYBOX is None or not _static(BUSYBOX):
        pytest.skip("no static busybox to make an image of (Debian: busybox-static)")
    return found


def _static(program: str) -> bool:
    listed = subprocess.run(["ldd", program], check=False, capture_output=True, text=True)
    return "not a dynamic executable" in listed.stdout + listed.stderr


@pytest.fixture
async def containers(engine: Engine, tmp_path: Path) -> AsyncIterator[Shell]:
    """A server whose jobs run in containers, from a registry that has one small image."""
    async with serve_registry(data=tmp_path / "registry", port=0) as registry:
        image = f"{registry.host_port}/tools/box:1"
        archive = tmp_path / "box.tar"
        _image(archive)
        await engine.call("import", str(archive), image)
        try:
            await engine.call("push", image)
            await engine.call("rmi", image)
            data = tmp_path / "gitlab"
            mode, host = Mode.CONTAINER, registry.host_port
            async with serve(data=data, token="t", executor=mode, registry=host) as server:
                yield Shell(server)
        finally:
            await asyncio.gather(engine.call("rmi", "--force", image), return_exceptions=True)


def _image(path: Path) -> None:
    """A root file system of one static program, and a mark by which the image is known."""
    with tarfile.open(path, "w") as packed:
        packed.add(str(BUSYBOX), "bin/busybox")
        for name in APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            packed.addfile(link)
        for name, content in {"etc/box": b"the image itself\n", "www/index.html": b"from the service\n"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))


async def test_jobs_run_in_their_image_and_hand_on(containers: Shell) -> None:
    """The image's own files, GitLab's variables, artifacts, exit codes, after_script; no container stays."""
    jobs = await containers.run(
        """
stages: [a, b]
default: {image: "$CI_REGISTRY/tools/box:1"}
make:
  stage: a
  script: ["cat /etc/box", "test $(pwd) = /builds/$CI_PROJECT_PATH", "mkdir out; echo $CI_JOB_NAME > out/x"]
  after_script: ["echo after $CI_JOB_STATUS"]
  artifacts: {paths: [out]}
use: {stage: b, image: {name: "$CI_REGISTRY/tools/box:1", entrypoint: [""]}, script: ["cat out/x", "exit 5"]}
"""
    )
    trace = containers.trace(jobs["make"])
    assert jobs["make"]["status"] == "success", trace
    assert "the image itself" in trace
    assert "after success" in trace
    assert 'Preparing the "docker" executor' in trace
    assert "[sandbox]" not in trace
    assert "ERROR: Job failed: exit code 5" in containers.trace(jobs["use"])
    assert "make\n" in containers.trace(jobs["use"])
    await _gone(jobs["make"]["id"])


async def test_a_service_is_reached_by_its_name(containers: Shell) -> None:
    """Its own container beside the job, under its alias."""
    jobs = await containers.run(
        """
a:
  image: "$CI_REGISTRY/tools/box:1"
  services: [{name: "$CI_REGISTRY/tools/box:1", alias: web, command: [httpd, -f, -p, "8000", -h, /www]}]
  script:
    - for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://web:8000/ && break; sleep 0.2; done
"""
    )
    trace = containers.trace(jobs["a"])
    assert jobs["a"]["status"] == "success", trace
    assert "from the service" in trace
    await _gone(jobs["a"]["id"])


async def test_an_image_that_is_not_there_fails_in_the_engines_words(containers: Shell) -> None:
    """GitLab's sentence around the engine's refusal, and a system failure of the runner."""
    jobs = await containers.run('a: {image: "$CI_REGISTRY/tools/none:2", script: [x]}')
    trace = containers.trace(jobs["a"])
    assert (jobs["a"]["status"], jobs["a"]["failure_reason"]) == ("failed", "runner_system_failure")
    assert "with specified policies [always]" in trace
    assert "not found" in trace or "unknown" in trace


async def test_a_cancelled_job_takes_its_container_along(containers: Shell) -> None:
    """The container is gone once the job is canceled."""
    pipeline = await containers.begin('a: {image: "$CI_REGISTRY/tools/box:1", script: ["echo here", "sleep 300"]}')
    job = await containers.said(pipeline, "a", "here\n")
    assert await _left(job["id"]) != ""
    await containers.server.forge.pipelines.cancel_job(job)
    await _gone(job["id"])


async def _left(job: int) -> str:
    """The names of the containers of a job that are still there."""
    engine = await find_engine()
    assert engine is not None
    return await engine.call("ps", "--all", "--quiet", "--filter", f"name=-{job}-")


async def _gone(job: int) -> None:
    """Wait until the engine has removed the containers of a job."""
    async with asyncio.timeout(10):
        while await _left(job):
            await asyncio.sleep(0.05)


async def test_without_an_engine_the_job_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the real runner; nothing runs on this machine instead."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "bash"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    async with serve(data=tmp_path / "gitlab", token="t", executor=Mode.CONTAINER) as server:
        jobs = await Shell(server).run('a: {image: "python:3", script: ["echo ran"]}')
        trace = server.forge.store.trace(jobs["a"]["id"])
    assert jobs["a"]["failure_reason"] == "runner_system_failure"
    assert "Cannot connect to the Docker daemon" in trace
    assert "\nran" not in trace


async def test_an_engine_that_refuses_is_quoted(tmp_path: Path) -> None:
    """The last line of what it printed, whatever the program is."""
    program = tmp_path / "engine"
    program.write_text("#!/bin/sh\necho first >&2; echo 'Error response from daemon: no' >&2; exit 1\n")
    program.chmod(0o755)
    assert os.access(program, os.X_OK)
    with pytest.raises(EngineFailed, match=r"^Error response from daemon: no$"):
        await Engine(str(program)).call("pull", "x")
