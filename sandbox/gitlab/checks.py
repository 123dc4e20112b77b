"""What is checked of a job where no container engine is there, with traces in the words of the real tools."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from sandbox.gitlab.ci_rules import expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.gitlab.ci import CompiledJob, Context

FIRST_LINE = "[sandbox] No container engine here: this job was checked, not run (image, script syntax, artifacts).\n"
MANIFEST_TYPES = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
REGISTRY_SECONDS = 10.0
PARSE_SECONDS = 10.0
BUILDS = re.compile(
    r"/kaniko/executor|\bbuildah\s+(?:bud|build)\b|\bdocker\s+(?:buildx\s+)?build\b|\bbuildctl\S*\s+build"
)
BUILD_ARGUMENT = re.compile(r"--(?:build-arg|opt build-arg:)[ =]\"?(\w+)=([^\s\"]+)")
FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
ARG = re.compile(r"^\s*ARG\s+(\w+)(?:=(\S+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """How a job ended, its trace, and GitLab's failure reason."""

    status: str
    trace: str
    failure_reason: str | None = None


class Check:
    """Checks jobs against one registry."""

    def __init__(self, registry: str | None) -> None:
        """`registry` is host:port, as image names begin."""
        self._registry = registry

    async def job(self, job: CompiledJob, context: Context, missing_artifacts: Sequence[str]) -> Outcome:
        """What would stop the job before its script does, in the order in which a runner meets it."""
        trace = [FIRST_LINE, "Running with gitlab-runner (sandbox)\n", 'Preparing the "docker" executor\n']
        for image in [*job.services, *([job.image] if job.image else [])]:
            refusal = await self._refusal(image)
            if refusal:
                trace.append(f"Using Docker executor with image {image} ...\n{_pull_failed(image, refusal)}")
                return Outcome("failed", "".join(trace), "runner_system_failure")
            trace.append(f"Using docker image {image} ...\n")
        if missing_artifacts:
            names = ", ".join(missing_artifacts)
            trace.append(f"This job depends on other jobs with expired/erased artifacts: {names}\n")
            return Outcome("failed", "".join(trace), "missing_dependency_failure")
        trace.append('Executing "step_script" stage of the job script\n')
        trace += [f"$ {line}\n" for line in job.script]
        complaint = await _syntax(job.script) or await self._build(job, context)
        if complaint:
            trace.append(f"{complaint}\nERROR: Job failed: exit code 1\n")
            return Outcome("failed", "".join(trace), "script_failure")
        return Outcome("success", "".join([*trace, "Job succeeded\n"]))

    async def _build(self, job: CompiledJob, context: Context) -> str | None:
        """For a job that builds the Dockerfile: are its parent images there, in the words of an image builder."""
        script = "\n".join(job.script)
        if not BUILDS.search(script):
            return None
        dockerfile = context.read("Dockerfile")
        if dockerfile is None:
            return "error checking context: can't stat 'Dockerfile': no such file or directory"
        given = {name: expand(value, job.variables) for name, value in BUILD_ARGUMENT.findall(script)}
        for image in parents(dockerfile, given):
            refusal = await self._refusal(image)
            if refusal:
                return f'error building image: "{image}": {refusal}'
        return None

    async def _refusal(self, image: str) -> str | None:
        """Why an image cannot be pulled, in the engine's words; None where it is there."""
        host, _, rest = image.partition("/")
        if self._registry is None or host != self._registry:
            return f'Get "https://{host if "." in host or ":" in host else "registry-1.docker.io"}/v2/": i/o timeout'
        name, tag = _split(rest)
        if not name or not re.fullmatch(r"[\w][\w.-]{0,127}|sha256:[0-9a-f]{64}", tag):
            return f'invalid reference format: "{image}"'
        url = f"http://{self._registry}/v2/{name}/manifests/{tag}"
        try:
            status = await _status(url)
        except (aiohttp.ClientConnectorError, ConnectionError):
            return f'Get "http://{self._registry}/v2/": dial tcp {self._registry}: connect: connection refused'
        except (aiohttp.ClientError, TimeoutError):
            return f'Get "http://{self._registry}/v2/": context deadline exceeded'
        if status == 200:  # noqa: PLR2004 - HTTP
            return None
        if status in (401, 403):
            return "unauthorized: authentication required"
        return f"manifest for {image} not found: manifest unknown: manifest unknown"


async def _status(url: str) -> int:
    """The status of HEAD, or of GET where the registry knows no HEAD."""
    timeout = aiohttp.ClientTimeout(total=REGISTRY_SECONDS)
    headers = {"Accept": MANIFEST_TYPES}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        async with session.head(url) as answer:
            if answer.status != 405:  # noqa: PLR2004 - HTTP
                return answer.status
        async with session.get(url) as answer:
            return answer.status


async def _syntax(script: Sequence[str]) -> str | None:
    """What a shell says of the script without running it; None where it parses."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-n", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, complaint = await asyncio.wait_for(process.communicate("\n".join(script).encode()), PARSE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return complaint.decode(errors="replace").strip() if process.returncode else None


def parents(dockerfile: str, arguments: Mapping[str, str]) -> list[str]:
    """The images that a Dockerfile builds on, its arguments filled in; stages and `scratch` are none."""
    values: dict[str, str] = {}
    stages: set[str] = set()
    found = []
    for line in dockerfile.splitlines():
        if (arg := ARG.match(line)) and not found:
            values[arg[1]] = arguments.get(arg[1], (arg[2] or "").strip("\"'"))
        elif parent := FROM.match(line):
            image = expand(parent[1], values)
            if image not in stages and image != "scratch":
                found.append(image)
            if parent[2]:
                stages.add(parent[2])
    return found


def _split(rest: str) -> tuple[str, str]:
    """Repository and tag (or digest) of what follows the host."""
    if "@" in rest:
        name, _, digest = rest.partition("@")
        return name.partition(":")[0], digest
    name, _, tag = rest.partition(":")
    return name, tag or "latest"


def _pull_failed(image: str, refusal: str) -> str:
    words = f'failed to pull image "{image}" with specified policies [always]: Error response from daemon: {refusal}'
    return f'WARNING: Failed to pull image with policy "always": {refusal} (manager.go:250:0s)\nERROR: Job failed: {words} (manager.go:250:0s)\n'
