"""Pipelines of the sandbox: made on a push, run by the executor, kept in the store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox.gitlab.ci import Compiled, CompiledJob, Context, compile_pipeline
from sandbox.gitlab.executor import COMPLETED, Executor, JobUpdate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.gitlab.repository import Repository
    from sandbox.gitlab.store import Row, Store

CI_FILE = ".gitlab-ci.yml"
MAX_READ_FILES = 400


@dataclass
class Running:
    """A pipeline that is under way."""

    task: asyncio.Task[None]
    cancel: asyncio.Event


class Pipelines:
    """Makes, runs, retries and cancels pipelines."""

    def __init__(self, store: Store, executor: Executor, base_url: str, registry: str | None) -> None:
        """Over a store; `base_url` is what links begin with."""
        self._store = store
        self._executor = executor
        self._base_url = base_url
        self._registry = registry
        self._running: dict[int, Running] = {}

    async def pushed(self, project: Row, repository: Repository, branch: str, sha: str, message: str) -> Row | None:
        """The pipeline of a push; None where there is no CI file or the rules leave every job out."""
        text = await repository.read(sha, CI_FILE)
        if text is None:
            return None
        if any(mark in message for mark in ("[skip ci]", "[ci skip]")):
            return self._add(project, branch, sha, status="skipped", finished_at=now())
        context = await self.context(project, repository, branch, sha)
        compiled = compile_pipeline(text.decode(errors="replace"), context)
        if compiled.errors:
            errors = ", ".join(compiled.errors)
            return self._add(project, branch, sha, status="failed", yaml_errors=errors, finished_at=now())
        if compiled.filtered:
            return None
        return self._begin(project, branch, sha, compiled, context)

    async def context(self, project: Row, repository: Repository, branch: str, sha: str) -> Context:
        """What a pipeline of this commit sees of the repository."""
        paths = list(await repository.tree(sha))
        small = [path for path in paths if path == "Dockerfile" or path.endswith((".yml", ".yaml"))][:MAX_READ_FILES]
        texts = {path: (await repository.read(sha, path) or b"").decode(errors="replace") for path in small}
        path = project["path_with_namespace"]
        registry = {"CI_REGISTRY": self._registry, "CI_REGISTRY_IMAGE": f"{self._registry}/{path}"}
        variables = {
            "CI_COMMIT_SHA": sha,
            "CI_COMMIT_SHORT_SHA": sha[:8],
            "CI_PROJECT_ID": str(project["id"]),
            "CI_PROJECT_NAME": project["path"],
            "CI_PROJECT_PATH": path,
            "CI_PROJECT_PATH_SLUG": path.replace("/", "-").lower(),
            "CI_PROJECT_DIR": f"/builds/{path}",
            "CI_SERVER_URL": self._base_url,
            **(registry if self._registry else {}),
        }
        return Context(branch, project["default_branch"], paths, paths, variables, read=texts.get)

    async def retry(self, project: Row, repository: Repository, pipeline: Row) -> Row:
        """Run the failed, canceled and skipped jobs again; each gets a new job, the old one stays as its history."""
        if pipeline["id"] in self._running or pipeline["status"] not in {"failed", "canceled"}:
            return pipeline
        context = await self.context(project, repository, pipeline["ref"], pipeline["sha"])
        text = await repository.read(pipeline["sha"], CI_FILE) or b""
        compiled = compile_pipeline(text.decode(errors="replace"), context)
        if compiled.errors:
            return pipeline
        done = {job["name"]: "success" for job in self.jobs(pipeline["id"]) if job["status"] == "success"}
        for old in self.jobs(pipeline["id"]):
            if old["status"] != "success":
                self._store.update("job", old["id"], retried=True)
        for job in compiled.jobs:
            if job.name not in done:
                self._add_job(project, pipeline, job)
        return self._launch(pipeline, compiled, context, done)

    async def cancel(self, pipeline: Row) -> Row:
        """End what is under way."""
        if running := self._running.get(pipeline["id"]):
            running.cancel.set()
            await running.task
        return self._store.get("pipeline", pipeline["id"]) or pipeline

    async def stop(self) -> None:
        """End all pipelines without a trace of it: a restart finds them unfinished."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def recover(self) -> None:
        """What was running when the process ended has lost its runner."""
        for pipeline in self._store.list("pipeline"):
            if pipeline["status"] in {"created", "pending", "running"}:
                for job in self.jobs(pipeline["id"]):
                    if job["status"] in {"created", "pending", "running"}:
                        lost = {"status": "failed", "failure_reason": "runner_system_failure", "finished_at": now()}
                        self._store.update("job", job["id"], **lost)
                self._store.update("pipeline", pipeline["id"], status="failed", finished_at=now())

    def jobs(self, pipeline_id: int, *, include_retried: bool = False) -> list[Row]:
        """The jobs of a pipeline, newest first."""
        found = [job for job in self._store.list("job") if job["pipeline_id"] == pipeline_id]
        return [job for job in found if include_retried or not job.get("retried")]

    def _begin(self, project: Row, branch: str, sha: str, compiled: Compiled, context: Context) -> Row:
        pipeline = self._add(project, branch, sha, status="created")
        for job in sorted(compiled.jobs, key=lambda job: job.stage_index):
            self._add_job(project, pipeline, job)
        return self._launch(pipeline, compiled, context, {})

    def _launch(self, pipeline: Row, compiled: Compiled, context: Context, done: Mapping[str, str]) -> Row:
        key = pipeline["id"]
        cancel = asyncio.Event()
        task = asyncio.create_task(self._run(key, compiled.jobs, context, cancel, done))
        self._running[key] = Running(task, cancel)
        task.add_done_callback(lambda _: self._running.pop(key, None))
        return self._store.update("pipeline", key, status="running", started_at=now(), finished_at=None)

    async def _run(
        self,
        key: int,
        jobs: Sequence[CompiledJob],
        context: Context,
        cancel: asyncio.Event,
        done: Mapping[str, str],
    ) -> None:
        ids = {job["name"]: job["id"] for job in self.jobs(key)}

        async def report(update: JobUpdate) -> None:
            self._apply(ids[update.name], update)

        await self._executor.run(jobs, report=report, context=context, cancel=cancel, done=done)
        status = pipeline_status(self.jobs(key))
        finished = now() if status in COMPLETED else None
        self._store.update("pipeline", key, status=status, finished_at=finished, updated_at=now())

    def _apply(self, job_id: int, update: JobUpdate) -> None:
        if update.trace_append:
            self._store.append_trace(job_id, update.trace_append)
            return
        at = datetime.fromtimestamp(update.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        changes: Row = {"status": update.status, "failure_reason": update.failure_reason}
        if update.allow_failure is not None:
            changes["allow_failure"] = update.allow_failure
        if update.status == "running":
            changes["started_at"] = at
        elif update.status in COMPLETED:
            changes["finished_at"] = at
        self._store.update("job", job_id, **changes)

    def _add(self, project: Row, branch: str, sha: str, **fields: str) -> Row:
        made: Row = {"project_id": project["id"], "ref": branch, "sha": sha, "source": "push", "created_at": now()}
        made |= {"yaml_errors": None, "started_at": None, "finished_at": None, "updated_at": now(), **fields}
        return self._store.add("pipeline", made, project=project["id"])

    def _add_job(self, project: Row, pipeline: Row, job: CompiledJob) -> None:
        made: Row = {"project_id": project["id"], "pipeline_id": pipeline["id"], "name": job.name, "stage": job.stage}
        made |= {
            "status": "created",
            "allow_failure": job.allow_failure,
            "failure_reason": None,
            "ref": pipeline["ref"],
        }
        made |= {"created_at": now(), "started_at": None, "finished_at": None, "sha": pipeline["sha"]}
        self._store.add("job", made, project=project["id"])


def pipeline_status(jobs: Sequence[Row]) -> str:
    """The status of a pipeline from those of its jobs, as GitLab composes it once nothing runs any more."""
    heeded = [job["status"] for job in jobs if not (job["allow_failure"] and job["status"] in {"failed", "canceled"})]
    for status in ("failed", "canceled", "manual", "scheduled"):
        if any(one == status for one in heeded) and not (status == "manual" and _optional(jobs)):
            return status
    return "skipped" if heeded and all(status == "skipped" for status in heeded) else "success"


def _optional(jobs: Sequence[Row]) -> bool:
    """Whether every manual job may be left out."""
    return all(job["allow_failure"] for job in jobs if job["status"] == "manual")


def now() -> str:
    """The time as GitLab writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
