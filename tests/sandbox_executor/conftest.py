"""A real docker-registry with a few tiny images, and a recorder of what the executor reports."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from sandbox.gitlab.ci import Context, compile_pipeline
from sandbox.gitlab.executor import Executor, JobUpdate, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sandbox.gitlab.ci import CompiledJob

DOCKER = "application/vnd.docker"
IMAGES = ("python:3.12-slim", "gcr.io/kaniko-project/executor:debug", "redis:7", "org/tool:1")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a registry that holds IMAGES."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    folder = tmp_path_factory.mktemp("registry")
    config, log = folder / "config.yml", folder / "log"
    storage = {"filesystem": {"rootdirectory": str(folder / "storage")}}
    config.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": "127.0.0.1:0"}}))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=output, stderr=output, env=environment
        ) as process,
    ):
        try:
            host = _listening(log, process)
            for image in IMAGES:
                push(host, image)
            yield host
        finally:
            process.terminate()


def _listening(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"listening on ([\d.]+:\d+)", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(log.read_text(errors="replace")[-500:])


def push(host: str, image: str, platforms: Sequence[str] = ()) -> None:
    """A tiny image over plain HTTP; with `platforms` an index of it for these architectures."""
    name, _, tag = image.partition(":")
    config, layer = b'{"architecture":"amd64","os":"linux"}', b"layer of " + image.encode()
    for blob in (config, layer):
        with _call("POST", f"http://{host}/v2/{name}/blobs/uploads/") as answer:
            place = answer.headers["Location"]
        place += ("&" if "?" in place else "?") + "digest=" + digest(blob)
        _call("PUT", place if place.startswith("http") else f"http://{host}{place}", blob).close()
    kinds = (f"{DOCKER}.container.image.v1+json", f"{DOCKER}.image.rootfs.diff.tar.gzip")
    parts = [
        {"mediaType": kind, "size": len(blob), "digest": digest(blob)}
        for kind, blob in zip(kinds, (config, layer), strict=True)
    ]
    kind = f"{DOCKER}.distribution.manifest.v2+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": parts[0], "layers": parts[1:]}).encode()
    _put(host, name, digest(body) if platforms else tag, kind, body)
    if platforms:
        entry = {"mediaType": kind, "size": len(body), "digest": digest(body)}
        listed = [{**entry, "platform": {"os": "linux", "architecture": one}} for one in platforms]
        kind = f"{DOCKER}.distribution.manifest.list.v2+json"
        index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": listed}).encode()
        _put(host, name, tag, kind, index)


def _put(host: str, name: str, reference: str, kind: str, body: bytes) -> None:
    _call("PUT", f"http://{host}/v2/{name}/manifests/{reference}", body, kind).close()


def _call(method: str, url: str, body: bytes = b"", kind: str = "application/octet-stream"):  # type: ignore[no-untyped-def] # noqa: ANN202 - urllib's answer has no public type
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    return urllib.request.urlopen(request, timeout=10)


def digest(content: bytes) -> str:
    """`sha256:` and the hex digest."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass
class Recorder:
    """What a run reported: updates in order, last statuses, traces."""

    updates: list[JobUpdate] = field(default_factory=list)
    traces: dict[str, str] = field(default_factory=dict)
    cancel: asyncio.Event = field(default_factory=asyncio.Event)

    async def report(self, update: JobUpdate) -> None:
        """Keep it."""
        self.updates.append(update)
        self.traces[update.name] = self.traces.get(update.name, "") + update.trace_append

    @property
    def statuses(self) -> dict[str, str]:
        """The last status of each job."""
        return {update.name: update.status for update in self.updates}

    @property
    def reasons(self) -> dict[str, str | None]:
        """The last failure reason of each job."""
        return {one.name: one.failure_reason for one in self.updates if not one.trace_append}

    def history(self, name: str) -> list[str]:
        """The statuses that a job went through."""
        return [one.status for one in self.updates if one.name == name and not one.trace_append]

    def first(self, name: str, status: str) -> int:
        """The place in the order of all updates where a job first had a status."""
        return next(i for i, one in enumerate(self.updates) if one.name == name and one.status == status)


def jobs_of(text: str, context: Context | None = None) -> tuple[CompiledJob, ...]:
    """The jobs of a document that must compile."""
    compiled = compile_pipeline(text, context or Context("main", "main"))
    assert compiled.errors == ()
    return compiled.jobs


async def run(
    text: str, registry: str | None, *, files: Mapping[str, str] | None = None, done: Mapping[str, str] | None = None
) -> Recorder:
    """Compile and run a document to its end; REGISTRY is a project variable."""
    held = files or {}
    context = Context("main", "main", list(held), variables={"REGISTRY": registry or ""}, read=held.get)
    recorder = Recorder()
    async with asyncio.timeout(20):
        jobs = jobs_of(text, context)
        cancel = recorder.cancel
        await Executor(Settings(registry)).run(jobs, report=recorder.report, context=context, cancel=cancel, done=done)
    return recorder
