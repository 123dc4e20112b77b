"""Pipelines of the sandbox: made on a push or by the API, run by the executor, kept in the store."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.gitlab import shapes
from sandbox.gitlab.ci import Compiled, Context, compile_pipeline
from sandbox.gitlab.ci_predefined import job_variables, pipeline_variables
from sandbox.gitlab.clock import now
from sandbox.gitlab.executor import Executor, JobUpdate, Start, Ticket
from sandbox.gitlab.pipelines_ledger import UNDER_WAY, Ledger
from sandbox.gitlab.pipelines_read import changed_files, project_variables, texts
from sandbox.gitlab.refusals import Forbidden, Refused
from sandbox.gitlab.repository import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.gitlab.executor_run import Run
    from sandbox.gitlab.pipelines_ledger import Changed
    from sandbox.gitlab.repository import Repository
    from sandbox.gitlab.store import Row, Store

logger = logging.getLogger(__name__)
CI_FILE = ".gitlab-ci.yml"
SKIP_MARKS = ("[skip ci]", "[ci skip]")
CANCELABLE = UNDER_WAY | {"scheduled"}
CANCEL_SECONDS = 2.0  # how long the answer to a cancel waits; a job whose after_script takes longer is `canceling`
RETRYABLE = frozenset({"success", "failed", "canceled"})
FILTERED = (
    "Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being added to "
    "the pipeline."
)


@dataclass
class UnderWay:
    """A pipeline that is under way; `rows` are its jobs by name, the newest attempt of each."""

    task: asyncio.Task[None]
    run: Run
    rows: dict[str, Row]


class Pipelines:
    """Makes, runs, retries and cancels pipelines."""

    def __init__(self, store: Store, executor: Executor, base_url: str, changed: Changed) -> None:
        """Over a store; `base_url` is what links begin with; `changed` hears of every status of pipeline and job."""
        self._store = store
        self._executor = executor
        self.artifacts = executor.artifacts
        self._base_url = base_url
        self._registry = executor.registry
        self._ledger = Ledger(store, changed)
        self.jobs = self._ledger.jobs
        self._under_way: dict[int, UnderWay] = {}

    async def pushed(
        self, project: Row, repository: Repository, ref: str, before: str, after: str, *, skip_ci: bool = False
    ) -> Row | None:
        """The pipeline of a push; None where there is no CI file or the rules leave every job out."""
        text = await repository.read(after, CI_FILE)
        if text is None:
            return None
        context = await self.context(project, repository, ref, after, before=before)
        row = await self._row(project, repository, context, after, before)
        if skip_ci or any(mark in row["commit"]["message"] for mark in SKIP_MARKS):
            return self._ledger.ended(project, row, "skipped")
        compiled = compile_pipeline(text.decode(errors="replace"), context)
        if compiled.errors:
            return self._ledger.ended(project, row, "failed", yaml_errors=", ".join(compiled.errors))
        return None if compiled.filtered else self._begin(project, repository, row, compiled, context)

    async def create(
        self, project: Row, repository: Repository, ref: str, variables: Sequence[Row], source: str = "api"
    ) -> Row:
        """A pipeline for a branch or tag on request; Refused where there would be none, in GitLab's words."""
        found = await repository.named(ref)
        if found is None:
            raise Refused({"base": ["Reference not found"]})
        full, sha = found
        text = await repository.read(sha, CI_FILE)
        if text is None:
            raise Refused({"base": ["Missing CI config file"]})
        context = await self.context(project, repository, full, sha, variables=variables, source=source)
        compiled = compile_pipeline(text.decode(errors="replace"), context)
        if compiled.errors or compiled.filtered:
            raise Refused({"base": list(compiled.errors) or [FILTERED]})
        row = await self._row(project, repository, context, sha, NOWHERE)
        return self._begin(project, repository, {**row, "variables": list(variables)}, compiled, context)

    async def context(
        self,
        project: Row,
        repository: Repository,
        ref: str,
        sha: str,
        *,
        before: str = NOWHERE,
        variables: Sequence[Row] = (),
        source: str = "push",
    ) -> Context:
        """What a pipeline of this commit sees of the repository; `ref` as `refs/heads/…` or `refs/tags/…`."""
        tag, name = ref.startswith("refs/tags/"), ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        paths = list(await repository.tree(sha))
        held = await texts(repository, sha, paths)
        changed = await changed_files(repository, before, sha, paths)
        [info] = await repository.log(sha, limit=1)
        own = pipeline_variables(project, info, self._base_url, self._registry, before, name)
        given = {one["key"]: str(one["value"]) for one in variables}
        kept = project_variables(self._store, project, protected=not tag and name == project["default_branch"])
        values = {**own, **{key: row["value"] for key, row in kept.items()}, **given}
        default = project["default_branch"]
        return Context(name, default, paths, changed, values, source=source, read=held.get, tag=tag)

    async def retry(self, project: Row, repository: Repository, pipeline: Row) -> Row:
        """Run the failed and canceled jobs again as new jobs, and what was skipped behind them."""
        jobs = self.jobs(pipeline["id"])
        again = [job for job in jobs if job["status"] in {"failed", "canceled"}]
        if not again or pipeline["yaml_errors"]:
            return pipeline
        for job in again:
            self._ledger.clone(job, "created")
        for job in jobs:
            if job["status"] == "skipped":
                self._store.update("job", job["id"], status="created", finished_at=None)
        return await self._resume(project, repository, pipeline)

    async def retry_job(self, project: Row, repository: Repository, job: Row) -> Row:
        """A new job in place of one that ended, and what was skipped behind it again; Forbidden where it did not."""
        if job["status"] not in RETRYABLE or job.get("retried"):
            raise Forbidden("403 Forbidden - Job is not retryable")
        pipeline = self._store.get("pipeline", job["pipeline_id"]) or {}
        made = self._ledger.clone(job, "pending")
        self._ledger.reset_behind(job)
        await self._resume(project, repository, pipeline)
        return self._store.get("job", made["id"]) or made

    async def play(self, project: Row, repository: Repository, job: Row, variables: Sequence[Row]) -> Row:
        """Start a manual or delayed job now; Refused where it is neither."""
        if job["status"] not in {"manual", "scheduled"}:
            raise Refused("400 Bad request - Unplayable Job")
        self._store.update("job", job["id"], status="pending", variables=list(variables))
        pipeline = self._store.get("pipeline", job["pipeline_id"]) or {}
        self._ledger.reset_behind(job)
        await self._resume(project, repository, pipeline)
        return self._store.get("job", job["id"]) or job

    async def cancel(self, pipeline: Row) -> Row:
        """End what is under way or waits for its time."""
        key = pipeline["id"]
        if under_way := self._under_way.get(key):
            under_way.run.cancel()
            await asyncio.wait([under_way.task], timeout=CANCEL_SECONDS)
            return self._store.get("pipeline", key) or pipeline
        for job in self.jobs(key):
            if job["status"] in CANCELABLE:
                self._store.update("job", job["id"], status="canceled", finished_at=now())
        self._ledger.settle(key)
        return self._store.get("pipeline", key) or pipeline

    async def cancel_job(self, job: Row) -> Row:
        """End one job; what waits for it is decided by its new status."""
        under_way = self._under_way.get(job["pipeline_id"])
        if under_way is not None and job["status"] in CANCELABLE:
            await under_way.run.cancel_job(job["name"], CANCEL_SECONDS)
        elif job["status"] in CANCELABLE:
            self._store.update("job", job["id"], status="canceled", finished_at=now())
            self._ledger.settle(job["pipeline_id"])
        return self._store.get("job", job["id"]) or job

    async def remove(self, pipeline: Row) -> None:
        """Forget a pipeline with its jobs, traces and artifacts."""
        await self.cancel(pipeline)
        if under_way := self._under_way.get(pipeline["id"]):
            under_way.task.cancel()
            await asyncio.wait([under_way.task])
        for job in self.jobs(pipeline["id"], include_retried=True):
            self.artifacts.forget(job["id"])
            self._store.remove("job", job["id"])
        self._store.remove("pipeline", pipeline["id"])

    async def forget(self, project: Row) -> None:
        """End and remove the pipelines of a project."""
        for pipeline in self._store.list("pipeline", project=project["id"]):
            await self.remove(pipeline)

    async def stop(self) -> None:
        """End all pipelines without a trace of it: a restart finds them unfinished."""
        tasks = [under_way.task for under_way in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def recover(self) -> None:
        """What was running when the process ended has lost its runner."""
        for pipeline in self._store.list("pipeline"):
            if pipeline["status"] in UNDER_WAY:
                self._ledger.lose(pipeline["id"])
                self._store.update("pipeline", pipeline["id"], status="failed", finished_at=now())

    def forget_artifacts(self, job: Row) -> None:
        """Remove what a job left."""
        self.artifacts.forget(job["id"])
        self._store.update("job", job["id"], archive=None, files=[], artifacts_expire_at=None)

    async def _row(self, project: Row, repository: Repository, context: Context, sha: str, before: str) -> Row:
        """A pipeline before it is stored."""
        [info] = await repository.log(sha, limit=1)
        row: Row = {"project_id": project["id"], "ref": context.ref, "tag": context.tag, "sha": sha}
        row |= {"source": context.source, "before_sha": before, "created_at": now(), "updated_at": now()}
        before_it = self._store.newest("pipeline", project["id"]) or {}
        row |= {"iid": 1 + before_it.get("iid", 0), "yaml_errors": None}
        row |= {"started_at": None, "finished_at": None, "coverage": None, "variables": []}
        return row | {"commit": shapes.commit(info, project, self._base_url)}

    def _begin(self, project: Row, repository: Repository, row: Row, compiled: Compiled, context: Context) -> Row:
        pipeline = self._ledger.begin(project, row, compiled.jobs)
        return self._launch(project, repository, pipeline, compiled, context)

    async def _resume(self, project: Row, repository: Repository, pipeline: Row) -> Row:
        """Go on with a pipeline from the statuses that its jobs have now; between two requests nothing is awaited."""
        key = pipeline["id"]
        ref = f"refs/{'tags' if pipeline.get('tag') else 'heads'}/{pipeline['ref']}"
        given = {"variables": pipeline.get("variables", []), "source": pipeline["source"]}
        before = pipeline.get("before_sha") or NOWHERE
        context = await self.context(project, repository, ref, pipeline["sha"], before=before, **given)
        text = await repository.read(pipeline["sha"], CI_FILE) or b""
        compiled = compile_pipeline(text.decode(errors="replace"), context)
        under_way = self._under_way.get(key)
        if under_way is None:
            return self._launch(project, repository, pipeline, compiled, context)
        rows = {job["name"]: job for job in self.jobs(key)}
        under_way.rows |= rows
        under_way.run.take({name: row["status"] for name, row in rows.items()})
        return self._ledger.settle(key)

    def _launch(self, project: Row, repository: Repository, pipeline: Row, compiled: Compiled, context: Context) -> Row:
        key = pipeline["id"]
        rows = {job["name"]: job for job in self.jobs(key)}

        async def report(update: JobUpdate) -> None:
            self._ledger.apply(key, rows, update)

        def ticket(name: str) -> Ticket:
            return self._ticket(project, repository, key, rows[name])

        jobs = [job for job in compiled.jobs if job.name in rows]
        start = Start(
            statuses={name: row["status"] for name, row in rows.items()},
            allowed={name: row["allow_failure"] for name, row in rows.items()},
        )
        run = self._executor.start(jobs, report=report, context=context, start=start, ticket=ticket)
        task = asyncio.create_task(self._run(key, run))
        self._under_way[key] = UnderWay(task, run, rows)
        return self._ledger.settle(key)

    async def _run(self, key: int, run: Run) -> None:
        try:
            await run.run()
        except Exception:
            logger.exception("the run of pipeline %s broke off", key)
            self._ledger.lose(key)
        finally:
            self._under_way.pop(key, None)
        self._ledger.settle(key)

    def _ticket(self, project: Row, repository: Repository, key: int, row: Row) -> Ticket:
        """What the executor must know of a job that begins: only the server gives it."""
        pipeline = self._store.get("pipeline", key) or {}
        protected = not pipeline.get("tag") and pipeline["ref"] == project["default_branch"]
        kept = project_variables(self._store, project, protected=protected)
        job = self._store.get("job", row["id"]) or row
        given = {one["key"]: str(one["value"]) for one in job.get("variables", [])}
        return Ticket(
            id=row["id"],
            project=project["id"],
            repository=repository.path.resolve(),
            fault=job.get("fault"),
            variables=job_variables(project, pipeline, job, self._base_url, self._registry) | given,
            masked=(job["token"], *(one["value"] for one in kept.values() if one["masked"] and one["value"])),
            files=tuple(name for name, one in kept.items() if one["variable_type"] == "file"),
            raw=tuple(name for name, one in kept.items() if one["raw"]),
        )
