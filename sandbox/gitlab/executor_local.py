"""A job that really runs: checkout, cache, artifacts, script, after_script, and what it leaves, as a runner does it.

Where its commands run is a place of its own: bash on this machine, or a container from the job's image.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.executor_environment import variables
from sandbox.gitlab.executor_git import CheckoutFailed, checkout
from sandbox.gitlab.executor_leave import collected, coverage, downloaded, saved_caches, wanted_now
from sandbox.gitlab.executor_records import CANCELED, NOT_PREPARED, PASSED, Outcome
from sandbox.gitlab.executor_script import script
from sandbox.gitlab.trace_mask import Mask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sandbox.gitlab.artifacts import Artifacts
    from sandbox.gitlab.executor_files import Caches
    from sandbox.gitlab.executor_records import Say, Work

    Output = Callable[[bytes], Awaitable[None]]

AFTER_SCRIPT_SECONDS = 300.0  # GitLab's RUNNER_AFTER_SCRIPT_TIMEOUT
KEPT_FOR_COVERAGE = 1 << 20


class NotPrepared(Exception):  # noqa: N818 - a job then ends as a system failure of the runner
    """The place for a job could not be made ready; the trace says why."""


class Place(Protocol):
    """Where the commands of one job run."""

    @property
    def directory(self) -> str:
        """The path of the checkout, as the commands see it."""

    async def run(self, text: str, output: Output) -> int:
        """The exit code of a script."""


@dataclass(frozen=True)
class Folders:
    """Where builds happen, and what stays of them."""

    builds: Path
    artifacts: Artifacts
    caches: Caches


class Local:
    """Implements `executor_records.Runner` for the jobs of one pipeline."""

    def __init__(
        self, folders: Folders, place: Callable[[Work, Path], AbstractAsyncContextManager[Place]], opening: str
    ) -> None:
        """`place` makes a place for a job whose checkout lies in the given folder; NotPrepared where it cannot."""
        self._folders = folders
        self._place = place
        self._opening = opening

    def opening(self) -> str:
        """What a trace says first."""
        return self._opening

    async def job(self, work: Work) -> Outcome:
        """The job to its end; its folder is gone afterwards."""
        if work.job.trigger:
            await work.say("Downstream pipelines are not started here.\n")
            return Outcome("failed", "downstream_pipeline_creation_failed")
        self._folders.builds.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{work.ticket.id}-", dir=self._folders.builds))
        mask = Mask(work.ticket.masked)
        masked = replace(work, say=_masked(work.say, mask))
        try:
            await masked.say(trace.opening())
            async with self._place(masked, folder) as place:
                return await _Job(masked, place, folder, self._folders, mask).run()
        except NotPrepared:
            return NOT_PREPARED
        except (OSError, CheckoutFailed) as error:
            await masked.say(trace.system_failure(str(error)))
            return NOT_PREPARED
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _masked(say: Say, mask: Mask) -> Say:
    async def hidden(text: str) -> None:
        await say(mask.hidden(text))

    return hidden


class _Job:
    """One job in its place."""

    def __init__(self, work: Work, place: Place, folder: Path, folders: Folders, mask: Mask) -> None:
        self._work = work
        self._say = work.say
        self._place = place
        self._root = folder / "checkout"
        self._files = folder / "checkout.tmp"
        self._folders = folders
        self._mask = mask
        self._output: list[str] = []

    async def run(self) -> Outcome:
        job = self._work.job
        environment = self._environment()
        await self._section("get_sources", "Getting source from Git repository", await self._checkout(environment))
        for cache in job.cache:
            said = await asyncio.to_thread(self._folders.caches.restore, self._work.ticket.project, cache, self._root)
            await self._section("restore_cache", "Restoring cache", said)
        if said := await asyncio.to_thread(downloaded, self._work, self._folders.artifacts, self._root):
            await self._section("download_artifacts", "Downloading artifacts", said)
        try:
            code = await self._script(environment)
        except asyncio.CancelledError as cancelled:
            if CANCELED in cancelled.args and job.after_script:
                await self._shown(self._mask.end())
                await self._after_script({**environment, "CI_JOB_STATUS": "canceled"})
            raise
        if job.after_script:
            await self._after_script({**environment, "CI_JOB_STATUS": "failed" if code else "success"})
        return await self._leave(code)

    def _environment(self) -> dict[str, str]:
        """All variables; those of type file are written beside the checkout, and name the path."""
        dotenvs = [self._folders.artifacts.variables(source.id) for source in self._work.sources]
        found = variables(self._work, dotenvs, self._place.directory)
        for name in self._work.ticket.files:
            if name in found:
                self._files.mkdir(exist_ok=True)
                (self._files / name).write_text(found[name])
                found[name] = f"{self._place.directory}.tmp/{name}"
        return found

    async def _checkout(self, environment: Mapping[str, str]) -> str:
        if self._work.ticket.repository is None or environment.get("GIT_STRATEGY") == "none":
            self._root.mkdir(exist_ok=True)
            return "Skipping Git repository setup\n"
        return await checkout(self._work.ticket.repository, self._root, environment)

    async def _script(self, environment: Mapping[str, str]) -> int:
        title = 'Executing "step_script" stage of the job script'
        await self._say(trace.begin("step_script", title))
        lines = (*self._work.job.before_script, *self._work.job.script)
        code = await self._run(lines, environment)
        await self._say(trace.end("step_script"))
        return code

    async def _after_script(self, environment: Mapping[str, str]) -> None:
        """In a shell of its own; how it ends does not count."""
        await self._say(trace.begin("after_script", "Running after_script"))
        await self._say(f"{trace.GREEN}Running after script...{trace.RESET}\n")
        try:
            async with asyncio.timeout(AFTER_SCRIPT_SECONDS):
                code = await self._run(self._work.job.after_script, environment)
            if code:
                await self._say(
                    trace.warning(f"after_script failed, but job will continue unaffected: exit code {code}")
                )
        except TimeoutError:
            await self._say(trace.warning("after_script failed, but job will continue unaffected: context deadline"))
        await self._say(trace.end("after_script"))

    async def _run(self, lines: Sequence[str], environment: Mapping[str, str]) -> int:
        """The exit code; the output goes into the trace as it comes, without what is masked."""

        async def output(chunk: bytes) -> None:
            await self._shown(self._mask.feed(chunk))

        code = await self._place.run(script(lines, environment, self._place.directory), output)
        await self._shown(self._mask.end())
        return code

    async def _shown(self, text: str) -> None:
        if text:
            self._output = ["".join([*self._output, text])[-KEPT_FOR_COVERAGE:]]
            await self._say(text)

    async def _leave(self, code: int) -> Outcome:
        """Caches and artifacts, then the last line."""
        job = self._work.job
        for said in await asyncio.to_thread(saved_caches, self._work, self._folders.caches, self._root, code):
            await self._section("archive_cache", f"Saving cache for {'failed' if code else 'successful'} job", said)
        left = await asyncio.to_thread(collected, self._work, self._folders.artifacts, self._root, code)
        if wanted_now(job.artifacts, code):
            name = f"upload_artifacts_on_{'failure' if code else 'success'}"
            await self._section(name, f"Uploading artifacts for {'failed' if code else 'successful'} job", left.said)
        details = {**left.details, "coverage": coverage(job.coverage, "".join(self._output))}
        await self._section("cleanup_file_variables", "Cleaning up project directory and file based variables", "")
        code = code or left.exit_code
        await self._say(trace.failed(code) if code else trace.succeeded())
        if code:
            return Outcome("failed", "script_failure", code, details)
        return replace(PASSED, details=details)

    async def _section(self, name: str, title: str, body: str) -> None:
        await self._say(trace.section(name, title, body))
