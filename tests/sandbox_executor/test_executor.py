"""The executor in check mode, against a real registry."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sandbox.gitlab.ci import Context
from sandbox.gitlab.executor import Executor, JobUpdate, Settings

from .conftest import Recorder, jobs_of, run

STAGES = ("compile", "build", "test", "sast", "quality", "security", "push", "notify", "learn")
NINE_STAGES = f"""
stages: [{", ".join(STAGES)}]
default: {{image: "${{REGISTRY}}/python:3.12-slim"}}
.b: {{script: ['echo "$CI_JOB_NAME ${{REGISTRY}}"']}}
compile: {{stage: compile, extends: .b}}
build:
  stage: build
  image: {{name: "${{REGISTRY}}/gcr.io/kaniko-project/executor:debug", entrypoint: [""]}}
  script: ['/kaniko/executor --context "$CI_PROJECT_DIR" --build-arg REGISTRY=$REGISTRY --destination x:1']
test: {{stage: test, extends: .b, services: ["${{REGISTRY}}/redis:7"], artifacts: {{paths: [out]}}}}
sast: {{stage: sast, extends: .b}}
quality: {{stage: quality, extends: .b, dependencies: [test]}}
security: {{stage: security, extends: .b, allow_failure: true}}
push: {{stage: push, extends: .b}}
notify_success: {{stage: notify, extends: .b, when: on_success}}
notify_failure: {{stage: notify, extends: .b, when: on_failure}}
learn: {{stage: learn, extends: .b}}
"""
DOCKERFILE = "ARG REGISTRY=nowhere:1\nFROM ${REGISTRY}/python:3.12-slim AS base\nFROM base\nRUN echo ok\n"


async def test_nine_stages_and_ten_jobs_pass(registry: str) -> None:
    """A whole pipeline goes through stage by stage, and on_failure is skipped because nothing failed."""
    done = await run(NINE_STAGES, registry, files={"Dockerfile": DOCKERFILE})
    assert done.statuses.pop("notify_failure") == "skipped"
    passed = [name for name, status in done.statuses.items() if status == "success"]
    assert len(passed) == 9, done.traces
    assert done.first("test", "running") > done.first("build", "success")
    assert done.history("compile") == ["pending", "running", "success"]


async def test_every_trace_says_first_that_nothing_ran(registry: str) -> None:
    """No one can take a checked job for one that ran in a container."""
    done = await run(NINE_STAGES, registry, files={"Dockerfile": DOCKERFILE})
    traces = [trace for name, trace in done.traces.items() if name != "notify_failure"]
    assert all("checked, not run: " in trace.splitlines()[0] for trace in traces)
    assert 'Preparing the "docker" executor' in done.traces["test"]
    assert "Job succeeded" in done.traces["test"]
    assert "Downloading artifacts for test" in done.traces["quality"]


async def test_a_script_that_does_not_parse_ends_with_exit_code_2() -> None:
    """Bash's own words and its exit code; a long ${…} is left as it is."""
    done = await run(
        'a: {script: ["if true; then", "echo ${A:-b}"]}\nb: {script: ["echo ${A:-b}", "x=$((1+1))"]}', None
    )
    assert "syntax error: unexpected end of file" in done.traces["a"]
    assert "ERROR: Job failed: exit code 2" in done.traces["a"]
    assert done.statuses == {"a": "failed", "b": "success"}
    assert done.reasons["a"] == "script_failure"


async def test_after_script_does_not_fail_the_job() -> None:
    """What is wrong in after_script is a warning."""
    done = await run("a: {script: [x], after_script: ['fi']}", None)
    assert done.statuses == {"a": "success"}
    assert "after_script failed" in done.traces["a"]


ORDER = """
stages: [one, two, three]
.f: {script: [fi]}
.s: {script: [x]}
"""


async def test_after_a_failure_only_on_failure_and_always_run() -> None:
    """A failed stage skips the later ones but those that are there for it."""
    done = await run(
        ORDER
        + """
bad: {stage: one, extends: .f}
next: {stage: two, extends: .s}
rescue: {stage: two, extends: .s, when: on_failure}
always: {stage: three, extends: .s, when: always}
hand: {stage: three, extends: .s, when: manual}
""",
        None,
    )
    expected = {"bad": "failed", "next": "skipped", "rescue": "success", "always": "success", "hand": "skipped"}
    assert done.statuses == expected
    assert done.first("always", "running") > done.first("rescue", "success")


async def test_allow_failure_lets_later_stages_run() -> None:
    """A job that may fail is failed, and what follows runs; on_failure stays out."""
    done = await run(
        ORDER
        + "a: {stage: one, extends: .f, allow_failure: true}\nb: {stage: two, extends: .s}\n"
        + "c: {stage: two, extends: .s, when: on_failure}",
        None,
    )
    assert done.statuses == {"a": "failed", "b": "success", "c": "skipped"}


async def test_only_the_named_exit_codes_are_allowed() -> None:
    """allow_failure:exit_codes allows 2 and no other."""
    done = await run(
        ORDER + "a: {stage: one, extends: .f, allow_failure: {exit_codes: [2]}}\nb: {stage: two, extends: .s}", None
    )
    assert done.statuses == {"a": "failed", "b": "success"}
    assert done.updates[done.first("a", "failed")].allow_failure is True
    done = await run(
        ORDER + "a: {stage: one, extends: .f, allow_failure: {exit_codes: 3}}\nb: {stage: two, extends: .s}", None
    )
    assert done.statuses == {"a": "failed", "b": "skipped"}


async def test_a_manual_job_blocks_unless_it_may_fail() -> None:
    """A manual job with allow_failure false holds up what follows; an optional one does not."""
    text = ORDER + "a: {stage: one, extends: .s, when: manual%s}\nb: {stage: two, extends: .s}"
    assert (await run(text % "", None)).statuses == {"a": "manual", "b": "success"}
    assert (await run(text % ", allow_failure: false", None)).statuses == {"a": "manual"}


async def test_needs_start_before_the_stage_is_over_and_skip_what_cannot_be() -> None:
    """A job with needs waits for them only; a skipped need skips it."""
    done = await run(
        ORDER
        + """
good: {stage: one, extends: .s}
bad: {stage: one, extends: .f}
early: {stage: three, extends: .s, needs: [good]}
none: {stage: three, extends: .s, needs: []}
dead: {stage: three, extends: .s, needs: [bad]}
deader: {stage: three, extends: .s, needs: [dead]}
half: {stage: three, extends: .s, needs: [good, dead]}
hand: {stage: one, extends: .s, when: manual}
handed: {stage: three, extends: .s, needs: [good, hand]}
cleanup: {stage: three, extends: .s, needs: [bad], when: on_failure}
""",
        None,
    )
    skipped = {name for name, status in done.statuses.items() if status == "skipped"}
    assert skipped == {"dead", "deader", "half", "handed"}
    assert done.statuses["early"] == done.statuses["none"] == done.statuses["cleanup"] == "success"


async def test_retry_runs_a_failed_job_again() -> None:
    """As often as `max` says, and only for the reasons named."""
    text = "a: {script: [fi], retry: {max: 2, when: %s}}"
    done = await run(text % "script_failure", None)
    assert done.history("a") == ["pending", "running", "failed"] * 3
    done = await run(text % "runner_system_failure", None)
    assert done.history("a") == ["pending", "running", "failed"]


async def test_a_pipeline_retry_leaves_what_is_done() -> None:
    """Jobs in `done` are not run again, and those behind them start from their statuses."""
    text = ORDER + "a: {stage: one, extends: .f}\nb: {stage: two, extends: .s}"
    done = await run(text, None, done={"a": "success"})
    assert done.statuses == {"b": "success"}


async def test_a_timeout_ends_a_job() -> None:
    """A registry that accepts and says nothing lets the job's own timeout end it."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        done = await run('a: {image: "$REGISTRY/python:3", script: [x], timeout: 1s}', host)
    assert done.reasons["a"] == "job_execution_timeout"
    assert "ERROR: Job failed: execution took longer than 1s seconds" in done.traces["a"]


async def test_cancel_ends_what_runs_and_what_waits() -> None:
    """Running and created jobs are canceled; what is over keeps its status."""
    recorder = Recorder()

    async def report(update: JobUpdate) -> None:
        await recorder.report(update)
        if (update.name, update.status) == ("b", "running"):
            recorder.cancel.set()

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        context = Context("main", "main", variables={"REGISTRY": host})
        jobs = jobs_of(
            ORDER
            + 'a: {stage: one, extends: .s}\nb: {stage: two, image: "$REGISTRY/x:1", script: [x]}\n'
            + "c: {stage: three, extends: .s, when: always}",
            context,
        )
        async with asyncio.timeout(5):
            await Executor(Settings(host)).run(jobs, report=report, context=context, cancel=recorder.cancel)
    assert recorder.statuses == {"a": "success", "b": "canceled", "c": "canceled"}


async def test_a_reporter_that_fails_ends_the_run() -> None:
    """An error of the server is not swallowed, and no task is left behind."""

    async def report(update: JobUpdate) -> None:
        if update.status == "running":
            raise RuntimeError("disk full")

    context = Context("main", "main")
    with pytest.raises(RuntimeError, match="disk full"):
        await Executor(Settings()).run(
            jobs_of("a: {script: [x]}\nb: {script: [x]}"), report=report, context=context, cancel=asyncio.Event()
        )
    assert asyncio.all_tasks() == {asyncio.current_task()}
