"""Faults on demand: asked for over HTTP, in the next pipeline, with the trace and the reason of the real thing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sandbox.gitlab.executor import Mode
from sandbox.gitlab.faults import FAULTS
from sandbox.gitlab.server import serve

from .test_shell import Shell

PIPELINE = "stages: [a, b]\none: {stage: a, script: ['true']}\ntwo: {stage: b, script: ['true']}\n"
WORDS = {
    "image-gone": ("runner_system_failure", "manifest unknown: manifest unknown"),
    "tls-failure": ("runner_system_failure", "x509: certificate signed by unknown authority"),
    "registry-down": ("runner_system_failure", "connect: connection refused"),
    "runner-lost": ("stuck_or_timeout_failure", "$ true"),
    "timeout": ("job_execution_timeout", "ERROR: Job failed: execution took longer than 1h0m0s seconds"),
    "flaky-once": ("script_failure", "Connection reset by peer"),
    "disk-full": ("runner_system_failure", "no space left on device"),
}


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """A server whose jobs run with bash on this machine."""
    async with serve(data=tmp_path / "gitlab", token="t", executor=Mode.SHELL) as server:
        yield Shell(server)


async def add(shell: Shell, token: str = "t", **fault: object) -> httpx.Response:
    """The answer to asking for a fault."""
    async with httpx.AsyncClient(headers={"PRIVATE-TOKEN": token}) as client:
        return await client.post(f"{shell.server.url}/api/v4/sandbox/faults", json=fault)


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_looks_like_the_real_one(shell: Shell, name: str) -> None:
    """The first job fails with GitLab's reason and the tool's words; the trace says that it was asked for."""
    assert (await add(shell, name=name)).status_code == 201
    jobs = await shell.run(PIPELINE)
    reason, words = WORDS[name]
    assert (jobs["one"]["status"], jobs["one"]["failure_reason"], jobs["two"]["status"]) == (
        "failed",
        reason,
        "skipped",
    )
    assert words in shell.trace(jobs["one"])
    assert f"[sandbox] The fault {name} was asked for" in shell.trace(jobs["one"])
    assert (await shell.run(PIPELINE))["one"]["status"] == "success"


async def test_a_retry_goes_past_what_happens_once_and_not_past_what_lasts(shell: Shell) -> None:
    """flaky-once passes on the pipeline's retry; an image that is gone is still gone."""
    for name, after in (("flaky-once", "success"), ("image-gone", "failed")):
        await add(shell, name=name, job="two")
        pipeline = await shell.begin(PIPELINE)
        assert {job: row["status"] for job, row in (await shell.end(pipeline)).items()} == {
            "one": "success",
            "two": "failed",
        }
        forge = shell.server.forge
        row = forge.store.get("pipeline", pipeline) or {}
        project = forge.project(str(row["project_id"]))
        await forge.pipelines.retry(project, forge.repository(project), row)
        assert (await shell.end(pipeline))["two"]["status"] == after


async def test_a_fault_waits_for_its_project_and_lasts_as_often_as_was_said(shell: Shell) -> None:
    """Other projects' pipelines pass; `times: 2` befalls the job's own retry as well."""
    await shell.run(PIPELINE)
    answer = await add(shell, name="flaky-once", project="g/p1", times=2)
    assert answer.json()["project"] == "g/p1"
    assert (await shell.run(PIPELINE))["one"]["status"] == "success"
    forge = shell.server.forge
    project = forge.project("g/p1")
    made = await forge.pipelines.create(project, forge.repository(project), "main", [])
    await shell.end(made["id"])
    for status in ("failed", "success"):
        row = forge.store.get("pipeline", made["id"]) or {}
        await forge.pipelines.retry(project, forge.repository(project), row)
        assert (await shell.end(made["id"]))["one"]["status"] == status


async def test_what_cannot_be_asked_for(shell: Shell) -> None:
    """An unknown fault names the known ones, an unknown project is 404, and it takes the administrator."""
    shell.server.forge.add_token("dev", "d", 40)
    unknown = await add(shell, name="earthquake")
    assert (unknown.status_code, "image-gone" in unknown.json()["error"]) == (400, True)
    assert (await add(shell, name="timeout", project="no/where")).status_code == 404
    assert (await add(shell, name="timeout", times="x")).status_code == 400
    assert (await add(shell, token="d", name="timeout")).status_code == 403
    assert (await add(shell, token="x", name="timeout")).status_code == 401
