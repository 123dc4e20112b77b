"""What is checked of a job where no container engine is there, with traces in the words of the real tools."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import aiohttp

from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.executor_builds import Build, builds
from sandbox.gitlab.executor_dockerfile import UNKNOWN, DockerfileError, parents
from sandbox.gitlab.executor_images import MANIFEST_TYPES, SECONDS, Images, Pulled
from sandbox.gitlab.executor_records import NOT_PREPARED, PASSED, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.gitlab.ci_records import CompiledJob, Context
    from sandbox.gitlab.executor_records import Say, Source, Work

PARSE_SECONDS = 10.0
SYNTAX_ERROR = 2
UNREADABLE = {
    "kaniko": (
        "Error: error resolving dockerfile path: please provide a valid path to a Dockerfile within the build context "
        "with --dockerfile"
    ),
    "docker": "ERROR: failed to solve: failed to read dockerfile: open {path}: no such file or directory",
    "buildkit": "error: failed to solve: failed to read dockerfile: open {path}: no such file or directory",
    "buildah": "Error: stat {path}: no such file or directory",
}
WRONG = {
    "kaniko": "error building image: parsing dockerfile: {words}",
    "docker": "ERROR: failed to solve: {words}",
    "buildkit": "error: failed to solve: {words}",
    "buildah": "Error: {words}",
}
NO_PARENT = {
    "kaniko": 'error building image: unable to retrieve image "{image}": {words}',
    "docker": ("ERROR: failed to solve: {image}: failed to resolve source metadata for {image}: {words}"),
    "buildkit": "error: failed to solve: {image}: failed to resolve source metadata for {image}: {words}",
    "buildah": "Error: creating build container: initializing source docker://{image}: {words}",
}


class Checks:
    """Implements `executor_records.Runner`: asks what would stop each job before its script does."""

    def __init__(self, registry: str | None, context: Context) -> None:
        """Over one registry (host:port) and the files of one commit."""
        self._registry = registry
        self._context = context

    def opening(self) -> str:
        """That this job is checked."""
        return trace.FIRST_LINE

    async def job(self, work: Work) -> Outcome:
        """What came of the check, in the order in which a runner meets what it checks."""
        if work.job.trigger:
            await work.say("Downstream pipelines are not started here.\n")
            return Outcome("failed", "downstream_pipeline_creation_failed")
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, headers={"Accept": MANIFEST_TYPES}) as session:
            return await Check(Images(self._registry, session), self._context).job(work)


class Check:
    """The check of one job."""

    def __init__(self, images: Images, context: Context) -> None:
        """Over one registry and the files of one commit."""
        self._images = images
        self._context = context

    async def job(self, work: Work) -> Outcome:
        """Images, artifacts, script."""
        job, say = work.job, work.say
        await say(trace.opening())
        if not await self.prepared(job, say):
            return NOT_PREPARED
        await say(trace.section("get_sources", "Getting source from Git repository", self._checkout()))
        if body := _downloads(job, work.sources):
            await say(trace.section("download_artifacts", "Downloading artifacts", body))
        try:
            return await self._script(job, say)
        except OSError as error:
            await say(trace.system_failure(str(error)))
            return NOT_PREPARED

    async def prepared(self, job: CompiledJob, say: Say) -> bool:
        """Whether services and image can be pulled; GitLab names a failed pull a system failure of the runner."""
        image = job.image or "of the runner's own configuration"
        body = f"{trace.CLEAR}Using Docker executor with image {image} ...{trace.RESET}\n"
        for wanted in [*job.services, *([] if job.image is None else [job.image])]:
            service = f"{trace.CLEAR}Starting service {wanted} ...{trace.RESET}\n"
            body += service if wanted in job.services else ""
            pulled = await self._images.pull(wanted)
            if pulled.refusal:
                warning, error = trace.pull_failed(wanted, pulled.refusal)
                await say(trace.section("prepare_executor", 'Preparing the "docker" executor', body + warning))
                await say(error)
                return False
            body += trace.pulled(wanted, pulled.digest)
        await say(trace.section("prepare_executor", 'Preparing the "docker" executor', body))
        return True

    def _checkout(self) -> str:
        sha = self._context.variables.get("CI_COMMIT_SHORT_SHA") or "HEAD"
        where = f"Checking out {sha} as detached HEAD (ref is {self._context.ref})..."
        return f"{trace.GREEN}{where}{trace.RESET}\n"

    async def _script(self, job: CompiledJob, say: Say) -> Outcome:
        script = [*job.before_script, *job.script]
        complaint, code = await _syntax(script), SYNTAX_ERROR
        if not complaint:
            complaint, code = await self._builds(script, job), 1
        body = "".join(trace.command(line) for line in script) + (f"{complaint}\n" if complaint else "")
        title = 'Executing "step_script" stage of the job script'
        await say(trace.section("step_script", title, body))
        if job.after_script:
            await say(trace.section("after_script", "Running after_script", await _after(job)))
        await say(trace.failed(code) if complaint else trace.succeeded())
        return Outcome("failed", "script_failure", code) if complaint else PASSED

    async def _builds(self, script: Sequence[str], job: CompiledJob) -> str:
        """What the builder says where it cannot have the Dockerfile's parents; empty where it can."""
        for build in builds(script, job.variables):
            complaint = await self._build(build)
            if complaint:
                return complaint
        return ""

    async def _build(self, build: Build) -> str:
        dockerfile = self._context.read(build.dockerfile)
        if dockerfile is None:
            there = build.dockerfile in self._context.files or UNKNOWN in build.dockerfile
            return "" if there else UNREADABLE[build.builder].format(path=build.dockerfile)
        try:
            images = parents(dockerfile, build.arguments)
        except DockerfileError as error:
            return WRONG[build.builder].format(words=error)
        for image in images:
            pulled = await self._images.pull(image) if UNKNOWN not in image else Pulled()
            if pulled.refusal:
                words = _plain(image, pulled, build.builder)
                return NO_PARENT[build.builder].format(image=image, words=words)
        return ""


def _plain(image: str, pulled: Pulled, builder: str) -> str:
    """A refusal without the daemon that a builder does not speak to."""
    if pulled.missing:
        return {"docker": f"{image}: not found", "buildkit": f"{image}: not found"}.get(
            builder, "MANIFEST_UNKNOWN: manifest unknown"
        )
    return pulled.refusal.removeprefix("Error response from daemon: ")


def _downloads(job: CompiledJob, sources: Sequence[Source]) -> str:
    """What is said of the artifacts of other jobs; a dependency that leaves none is no error to GitLab."""
    lines = []
    for source in sources:
        if source.job.artifacts:
            lines.append(f"Downloading artifacts for {source.job.name} ({source.id})...\n")
        elif job.dependencies is not None:
            lines.append(f"[sandbox] {source.job.name} declares no artifacts: there is nothing to download.\n")
    return "".join(lines)


async def _after(job: CompiledJob) -> str:
    """The after_script; what is wrong with it is a warning and does not fail the job."""
    complaint = await _syntax(job.after_script)
    body = "".join(trace.command(line) for line in job.after_script)
    if complaint:
        words = "WARNING: after_script failed, but job will continue unaffected: exit code 2"
        body += f"{complaint}\n{trace.YELLOW}{words}{trace.RESET}\n"
    return body


async def _syntax(script: Sequence[str]) -> str:
    """What bash says of the script without running it; empty where it parses."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "--norc", "--noprofile", "-n"),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
    )
    try:
        text = "\n".join(script).encode(errors="replace") + b"\n"
        _, complaint = await asyncio.wait_for(process.communicate(text), PARSE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return complaint.decode(errors="replace").strip() if process.returncode else ""
