"""Pipelines, jobs, variables and lint, as python-gitlab's users go through them."""

from __future__ import annotations

import asyncio
from typing import Any

import gitlab
import pytest
from gitlab.exceptions import GitlabCreateError, GitlabGetError, GitlabJobPlayError, GitlabJobRetryError

from .conftest import PIPELINE, Sandbox

MANUAL = """
stages: [a, b, c]
one: {stage: a, script: [x]}
hand: {stage: b, script: [x], when: manual, allow_failure: false}
last: {stage: c, script: [x]}
"""


async def project_with(sandbox: Sandbox, text: str) -> dict[str, Any]:
    """The state of the pipeline of a project whose first commit is this file."""
    project = await sandbox.server.create_project("g/p", files={".gitlab-ci.yml": text.encode()})
    forge = sandbox.server.forge
    sha = (await forge.repository(forge.project(str(project["id"]))).branches())["main"]
    return await sandbox.ended(project["id"], sha)


async def until(sandbox: Sandbox, pipeline: int, status: str) -> dict[str, Any]:
    """Name → status of the jobs once the pipeline has a status."""

    def read(api: gitlab.Gitlab) -> tuple[str, dict[str, str]]:
        found = api.projects.get("g/p").pipelines.get(pipeline)
        return found.status, {job.name: job.status for job in found.jobs.list(get_all=True)}

    async with asyncio.timeout(10):
        while (seen := await sandbox.client(read))[0] != status:
            await asyncio.sleep(0.02)
    return seen[1]


async def test_a_manual_job_blocks_until_a_person_plays_it(sandbox: Sandbox) -> None:
    """The pipeline is manual, the job behind it waits; played, everything goes on; nothing else can be played."""
    state = await project_with(sandbox, MANUAL)
    key = state["pipeline"].id
    assert await until(sandbox, key, "manual") == {"one": "success", "hand": "manual", "last": "created"}

    def play(api: gitlab.Gitlab) -> None:
        jobs = {job.name: job for job in api.projects.get("g/p").pipelines.get(key).jobs.list(get_all=True)}
        project_jobs = api.projects.get("g/p").jobs
        with pytest.raises(GitlabJobPlayError, match="Unplayable Job"):
            project_jobs.get(jobs["one"].id).play()
        job = project_jobs.get(jobs["hand"].id)
        job.play()
        assert job.status in {"pending", "running", "success"}

    await sandbox.client(play)
    assert await until(sandbox, key, "success") == {"one": "success", "hand": "success", "last": "success"}


async def test_two_manual_jobs_are_played_at_the_same_moment(sandbox: Sandbox) -> None:
    """Each runs once, whichever request comes first."""
    text = "".join(f"j{n}: {{script: [x], when: manual, allow_failure: false}}\n" for n in range(4))
    state = await project_with(sandbox, text)
    forge = sandbox.server.forge
    await until(sandbox, state["pipeline"].id, "manual")
    project = forge.project("g/p")
    jobs = forge.pipelines.jobs(state["pipeline"].id)
    await asyncio.gather(*(forge.pipelines.play(project, forge.repository(project), job, []) for job in jobs))
    assert set((await until(sandbox, state["pipeline"].id, "success")).values()) == {"success"}
    for job in jobs:
        assert forge.store.trace(job["id"]).count("Running with gitlab-runner") == 1


async def test_a_single_job_is_retried_and_what_was_skipped_follows(sandbox: Sandbox) -> None:
    """The old one stays as history; jobs that never ran cannot be retried."""
    fault = {"name": "flaky-once", "project": None, "job": "one", "times": 1}
    sandbox.server.forge.store.add("fault", fault)
    state = await project_with(sandbox, PIPELINE)
    assert {name: job.status for name, job in state["jobs"].items()} == {"one": "failed", "two": "skipped"}

    def retry(api: gitlab.Gitlab) -> int:
        jobs = api.projects.get("g/p").jobs
        with pytest.raises(GitlabJobRetryError, match="Job is not retryable"):
            jobs.get(state["jobs"]["two"].id).retry()
        return int(jobs.get(state["jobs"]["one"].id).retry()["id"])

    again = await sandbox.client(retry)
    assert again > state["jobs"]["one"].id
    await until(sandbox, state["pipeline"].id, "success")

    def history(api: gitlab.Gitlab) -> list[tuple[str, int, str]]:
        found = api.projects.get("g/p").pipelines.get(state["pipeline"].id)
        return [(job.name, job.id, job.status) for job in found.jobs.list(include_retried=True, get_all=True)]

    assert await sandbox.client(history) == [
        ("one", again, "success"),
        ("two", state["jobs"]["two"].id, "success"),
        ("one", state["jobs"]["one"].id, "failed"),
    ]


async def test_pipelines_are_created_with_variables_listed_and_removed(sandbox: Sandbox) -> None:
    """Filters, order, variables, name, the latest; refusals in GitLab's words."""
    text = "a: {script: [x], rules: [{if: '$MODE == \"full\"'}]}\n"
    await sandbox.server.create_project("g/p", files={".gitlab-ci.yml": text.encode()})

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        with pytest.raises(GitlabCreateError, match="The rules configuration prevented any jobs"):
            project.pipelines.create({"ref": "main"})
        with pytest.raises(GitlabCreateError, match="Reference not found"):
            project.pipelines.create({"ref": "none"})
        variables = [{"key": "MODE", "value": "full"}]
        first = project.pipelines.create({"ref": "main", "variables": variables})
        assert (first.source, first.iid) == ("api", 1)
        assert [(one.key, one.value) for one in first.variables.list(get_all=True)] == [("MODE", "full")]
        second = project.pipelines.create({"ref": "main", "variables": variables})
        assert [one.id for one in project.pipelines.list(get_all=True)] == [second.id, first.id]
        assert [one.id for one in project.pipelines.list(sort="asc", get_all=True)] == [first.id, second.id]
        assert project.pipelines.list(source="push", get_all=True) == []
        assert project.pipelines.list(scope="tags", get_all=True) == []
        assert project.pipelines.latest(ref="main").id == second.id
        second.delete()
        with pytest.raises(GitlabGetError, match="404 Pipeline Not Found"):
            project.pipelines.get(second.id)

    await sandbox.client(work)


async def test_variables_are_kept_masked_and_protected(sandbox: Sandbox) -> None:
    """CRUD; a value that cannot be masked, a name that is taken; protected ones only where the branch is."""
    await sandbox.server.create_project(
        "g/p", files={".gitlab-ci.yml": b"a: {script: [x], rules: [{if: $KEY}]}\nb: {script: [x]}\n"}
    )

    def work(api: gitlab.Gitlab) -> tuple[list[str], list[str]]:
        project = api.projects.get("g/p")
        made = project.variables.create({"key": "KEY", "value": "longenough", "masked": True, "protected": True})
        assert (made.value, made.masked, made.environment_scope) == ("longenough", True, "*")
        with pytest.raises(GitlabCreateError, match="has already been taken"):
            project.variables.create({"key": "KEY", "value": "x"})
        with pytest.raises(GitlabCreateError, match=r"value.*is invalid"):
            project.variables.create({"key": "SHORT", "value": "x", "masked": True})
        with pytest.raises(GitlabCreateError, match="can contain only letters"):
            project.variables.create({"key": "A-B", "value": "x"})
        project.branches.create({"branch": "f", "ref": "main"})
        jobs = []
        for ref in ("main", "f"):
            pipeline = project.pipelines.create({"ref": ref})
            jobs.append(sorted(job.name for job in pipeline.jobs.list(get_all=True)))
        made.value, made.protected = "otherenough", False
        made.save()
        assert project.variables.get("KEY").value == "otherenough"
        hidden = project.variables.create({"key": "H", "value": "hiddenvalue", "masked_and_hidden": True})
        assert (hidden.value, hidden.masked, hidden.hidden) == (None, True, True)
        made.delete()
        assert [one.key for one in project.variables.list(get_all=True)] == ["H"]
        return jobs[0], jobs[1]

    assert await sandbox.client(work) == (["a", "b"], ["b"])


async def test_lint_of_a_text_and_of_what_is_committed(sandbox: Sandbox) -> None:
    """`validate` raises with GitLab's sentences; GET looks at the file of a ref."""
    await project_with(sandbox, PIPELINE)

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        project.ci_lint.validate({"content": PIPELINE})
        with pytest.raises(gitlab.GitlabCiLintError, match="chosen stage gone does not exist"):
            project.ci_lint.validate({"content": "a: {stage: gone, script: [x]}\n"})
        committed = project.ci_lint.get()
        assert (committed.valid, committed.merged_yaml.startswith("---\n")) == (True, True)
        assert "jobs" not in committed.attributes
        made = project.ci_lint.create({"content": PIPELINE, "include_jobs": True})
        assert [(job["name"], job["when"], job["needs"]) for job in made.jobs] == [
            ("one", "on_success", None),
            ("two", "on_success", None),
        ]

    await sandbox.client(work)


async def test_a_run_that_breaks_off_leaves_nothing_running(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the sandbox itself fails the job as a system failure, and is in the log."""

    def broken(*_: object) -> None:
        raise RuntimeError("no more files")

    monkeypatch.setattr(sandbox.server.forge.store, "append_trace", broken)
    state = await project_with(sandbox, PIPELINE)
    assert (state["pipeline"].status, state["jobs"]["one"].failure_reason) == ("failed", "runner_system_failure")
    assert "no more files" in caplog.text


async def test_jobs_of_a_project_by_scope(sandbox: Sandbox) -> None:
    """`scope` as one word and as several; nothing to download where nothing was left."""
    state = await project_with(sandbox, "a: {script: [x]}\nb: {script: [fi], allow_failure: true}\n")

    def work(api: gitlab.Gitlab) -> None:
        jobs = api.projects.get("g/p").jobs
        assert [job.name for job in jobs.list(scope="failed", get_all=True)] == ["b"]
        assert {job.name for job in jobs.list(scope=["failed", "success"], get_all=True)} == {"a", "b"}
        pipeline = api.projects.get("g/p").pipelines.get(state["pipeline"].id)
        assert [job.name for job in pipeline.jobs.list(scope=["success"], get_all=True)] == ["a"]
        assert (pipeline.status, pipeline.detailed_status["label"]) == ("success", "passed with warnings")
        with pytest.raises(GitlabGetError, match="404 Not Found"):
            jobs.get(state["jobs"]["a"].id).artifacts()
        erased = jobs.get(state["jobs"]["a"].id)
        erased.erase()
        assert erased.trace() == b""

    await sandbox.client(work)
