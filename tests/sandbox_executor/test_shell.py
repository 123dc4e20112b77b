"""The executor in the mode `shell`: jobs that really run, over real repositories, through the whole server."""

from __future__ import annotations

import asyncio
import os
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.gitlab.executor import Mode
from sandbox.gitlab.server import GitLabServer, serve

Row = dict[str, Any]


@dataclass
class Shell:
    """A server whose jobs run with bash on this machine."""

    server: GitLabServer
    count: int = 0

    async def begin(self, text: str, *, variables: Mapping[str, Row] | None = None, **files: bytes) -> int:
        """The id of the pipeline of a new project with this file; `variables` are the project's."""
        self.count += 1
        row = await self.server.forge.add_project(f"g/p{self.count}")
        assert row is not None
        for key, fields in (variables or {}).items():
            plain = {"masked": False, "protected": False, "raw": False, "variable_type": "env_var"}
            self.server.forge.store.add("variable", {"key": key, **plain, **fields}, project=row["id"])
        contents = {".gitlab-ci.yml": text.encode(), **{name.replace("__", "/"): one for name, one in files.items()}}
        await self.server.create_project(row["path_with_namespace"], files=contents)
        [pipeline] = self.server.forge.store.list("pipeline", project=row["id"])
        assert not pipeline["yaml_errors"]
        return int(pipeline["id"])

    async def end(self, pipeline: int) -> dict[str, Row]:
        """The jobs by name once nothing runs any more."""
        store = self.server.forge.store
        async with asyncio.timeout(20):
            while (store.get("pipeline", pipeline) or {})["status"] in {"created", "pending", "running"}:
                await asyncio.sleep(0.01)
        return {job["name"]: job for job in self.server.forge.pipelines.jobs(pipeline)}

    async def run(self, text: str, *, variables: Mapping[str, Row] | None = None, **files: bytes) -> dict[str, Row]:
        """The jobs of a whole pipeline by name."""
        return await self.end(await self.begin(text, variables=variables, **files))

    def trace(self, job: Row) -> str:
        """The trace of a job."""
        return self.server.forge.store.trace(job["id"])

    async def said(self, pipeline: int, name: str, words: str) -> Row:
        """The job once its trace has these words."""
        async with asyncio.timeout(20):
            while True:
                job = {one["name"]: one for one in self.server.forge.pipelines.jobs(pipeline)}[name]
                if words in self.trace(job):
                    return job
                await asyncio.sleep(0.01)


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """That server."""
    async with serve(data=tmp_path / "gitlab", token="glpat-shell", executor=Mode.SHELL) as server:
        yield Shell(server)


async def test_files_and_variables_go_from_job_to_job(shell: Shell) -> None:
    """Artifacts arrive where they were, dotenv variables as variables; excluded files and other folders do not."""
    jobs = await shell.run(
        """
stages: [a, b]
make:
  stage: a
  script:
    - mkdir -p dist/sub other && echo one > dist/sub/x && echo no > dist/skip.log && echo z > other/z
    - chmod +x dist/sub/x
    - printf 'VERSION=1.2\\nNAME=shop' > build.env
  artifacts: {paths: [dist/], exclude: ["dist/*.log"], reports: {dotenv: build.env}, name: "$CI_JOB_NAME-out"}
use:
  stage: b
  script:
    - cat dist/sub/x
    - test -x dist/sub/x
    - test ! -e other && test ! -e dist/skip.log
    - echo "$NAME-$VERSION"
without: {stage: b, dependencies: [], script: ['test ! -e dist', 'test -z "$VERSION"']}
needing: {stage: b, needs: [{job: make, artifacts: false}], script: ['test ! -e dist']}
"""
    )
    assert {name: job["status"] for name, job in jobs.items()} == dict.fromkeys(jobs, "success"), shell.trace(
        jobs["use"]
    )
    assert "\none\n" in shell.trace(jobs["use"])
    assert "shop-1.2\n" in shell.trace(jobs["use"])
    assert jobs["make"]["archive"]["filename"] == "make-out.zip"
    assert [one["file_type"] for one in jobs["make"]["files"]] == ["archive", "dotenv"]
    path = shell.server.forge.pipelines.artifacts.archive(jobs["make"]["id"])
    assert path is not None
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["dist/sub/x"]
    assert not list((shell.server.data / "executor" / "builds").iterdir())


async def test_a_job_sees_gitlabs_variables_and_nothing_of_this_machine(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commit, project, pipeline and job; the project's own expanded; none of the environment of the server."""
    monkeypatch.setenv("SECRET_OF_THE_HOST", "leak")
    jobs = await shell.run(
        """
variables: {FILE: "of $CI_PROJECT_NAME", OVER: file}
a:
  variables: {JOB_VAR: "$FILE/$CI_JOB_NAME"}
  script:
    - env | sort
    - echo "pwd $(pwd)"; test "$(pwd)" = "$CI_PROJECT_DIR"
    - test "$(git rev-parse HEAD)" = "$CI_COMMIT_SHA"
    - cat "$CONFIG"
""",
        variables={
            "OVER": {"value": "project"},
            "CONFIG": {"value": "in a file", "variable_type": "file"},
            "RAW": {"value": "$FILE", "raw": True},
        },
    )
    trace = shell.trace(jobs["a"])
    assert jobs["a"]["status"] == "success", trace
    seen = dict(line.split("=", 1) for line in trace.splitlines() if "=" in line and line[0].isupper())
    assert (seen["JOB_VAR"], seen["OVER"], seen["RAW"]) == ("of p1/a", "project", "$FILE")
    assert (seen["CI"], seen["GITLAB_CI"], seen["CI_JOB_ID"]) == ("true", "true", str(jobs["a"]["id"]))
    assert seen["CI_PIPELINE_SOURCE"] == "push"
    assert seen["CI_COMMIT_BRANCH"] == seen["CI_COMMIT_REF_NAME"] == seen["CI_DEFAULT_BRANCH"] == "main"
    assert seen["CI_PROJECT_PATH"] == "g/p1"
    assert seen["CI_JOB_URL"] == f"{shell.server.url}/g/p1/-/jobs/{jobs['a']['id']}"
    assert seen["HOME"].startswith(str(shell.server.data))
    assert "SECRET_OF_THE_HOST" not in seen
    assert "in a file" in trace


async def test_masked_values_stay_out_of_the_trace(shell: Shell) -> None:
    """Also in the middle of a line, in what a command is, and the job's own token."""
    jobs = await shell.run(
        'a: {script: ["echo x${KEY}y", "echo supersecret", "printf super; sleep 0.1; printf secret", "env"]}',
        variables={"KEY": {"value": "supersecret", "masked": True}},
    )
    trace = shell.trace(jobs["a"])
    assert jobs["a"]["status"] == "success"
    assert "supersecret" not in trace
    assert "x[MASKED]y" in trace
    assert jobs["a"]["token"] not in trace


async def test_a_failing_line_ends_the_job_with_its_code(shell: Shell) -> None:
    """Errexit and pipefail; after_script still runs and knows; allow_failure and exit codes; the runner's last line."""
    jobs = await shell.run(
        """
stages: [a, b]
plain: {stage: a, script: ["echo one", "(exit 7)", "echo never"], after_script: ["echo after $CI_JOB_STATUS", "exit 9"]}
pipe: {stage: a, script: ["false | cat", "echo never"], allow_failure: {exit_codes: 1}}
missing: {stage: a, script: ["no-such-program"], allow_failure: true}
rescue: {stage: b, script: ["echo saved"], when: on_failure}
later: {stage: b, script: ["echo never"]}
"""
    )
    trace = shell.trace(jobs["plain"])
    assert {name: job["status"] for name, job in jobs.items()} == {
        "plain": "failed",
        "pipe": "failed",
        "missing": "failed",
        "rescue": "success",
        "later": "skipped",
    }
    assert "ERROR: Job failed: exit code 7\n" in trace
    assert "after failed" in trace
    assert "WARNING: after_script failed, but job will continue unaffected: exit code 9" in trace
    assert "never\n" not in trace.replace('"echo never"', "")
    assert (jobs["plain"]["failure_reason"], jobs["plain"]["allow_failure"]) == ("script_failure", False)
    assert jobs["pipe"]["allow_failure"] is True
    assert "ERROR: Job failed: exit code 127" in shell.trace(jobs["missing"])
    assert "no-such-program: command not found" in shell.trace(jobs["missing"])


async def test_a_timeout_ends_the_whole_process_group(shell: Shell) -> None:
    """What the job started in the background does not outlive it."""
    pipeline = await shell.begin('a: {timeout: 1s, script: ["sleep 300 & echo child $!", "sleep 300"]}')
    job = (await shell.end(pipeline))["a"]
    assert (job["status"], job["failure_reason"]) == ("failed", "job_execution_timeout")
    assert "ERROR: Job failed: execution took longer than 1s seconds" in shell.trace(job)
    await _gone(int(shell.trace(job).split("child ")[-1].split()[0]))


async def test_a_cancelled_job_ends_and_so_does_its_pipeline(shell: Shell) -> None:
    """canceled, with the runner's words and its after_script; what had not begun too; no process is left."""
    pipeline = await shell.begin(
        """
stages: [a, b]
one: {stage: a, script: ["echo child $$", "sleep 300"], after_script: ["echo cleaned, $CI_JOB_STATUS"]}
two: {stage: b, script: [x]}
"""
    )
    job = await shell.said(pipeline, "one", "child ")
    row = shell.server.forge.store.get("pipeline", pipeline) or {}
    ended = await shell.server.forge.pipelines.cancel(row)
    jobs = await shell.end(pipeline)
    assert ended["status"] == jobs["one"]["status"] == jobs["two"]["status"] == "canceled"
    assert "ERROR: Job failed: canceled" in shell.trace(jobs["one"])
    assert "cleaned, canceled" in shell.trace(jobs["one"])
    await _gone(int(shell.trace(job).split("child ")[-1].split()[0]))


async def test_one_job_is_cancelled_and_the_others_go_on(shell: Shell) -> None:
    """The job alone is canceled, its pipeline too at the end, and its neighbour passes."""
    pipeline = await shell.begin('one: {script: ["echo here", "sleep 300"]}\ntwo: {script: ["sleep 0.3"]}\n')
    job = await shell.said(pipeline, "one", "here")
    assert (await shell.server.forge.pipelines.cancel_job(job))["status"] == "canceled"
    jobs = await shell.end(pipeline)
    assert (jobs["one"]["status"], jobs["two"]["status"]) == ("canceled", "success")
    assert (shell.server.forge.store.get("pipeline", pipeline) or {})["status"] == "canceled"


async def test_a_job_is_retried_while_its_pipeline_goes_on(shell: Shell) -> None:
    """The new attempt runs beside what still runs, and its trace is its own."""
    pipeline = await shell.begin(
        'one: {script: ["echo tried; test -e ../../go"]}\n'
        'slow: {script: ["while ! test -e ../../go; do sleep 0.05; done"]}\n'
    )
    forge = shell.server.forge
    project = forge.project("g/p1")
    failed = await shell.said(pipeline, "one", "ERROR: Job failed: exit code 1")
    async with asyncio.timeout(10):
        while (forge.store.get("job", failed["id"]) or {})["status"] != "failed":
            await asyncio.sleep(0.01)
    (shell.server.data / "executor" / "builds" / "go").touch()
    row = forge.store.get("job", failed["id"]) or {}
    again = await forge.pipelines.retry_job(project, forge.repository(project), row)
    jobs = await shell.end(pipeline)
    assert (jobs["one"]["id"], jobs["one"]["status"], jobs["slow"]["status"]) == (again["id"], "success", "success")
    assert "tried" in shell.trace(jobs["one"])
    assert (forge.store.get("job", failed["id"]) or {})["status"] == "failed"


async def test_jobs_of_a_stage_run_at_once_and_needs_do_not_wait(shell: Shell) -> None:
    """Two jobs meet while both run; one with needs begins before the stage before it is over."""
    jobs = await shell.run(
        """
stages: [a, b]
one: {stage: a, script: ["sleep 0.6"]}
two: {stage: a, script: ["sleep 0.6"]}
quick: {stage: a, script: ["true"]}
early: {stage: b, needs: [quick], script: ["true"]}
"""
    )
    assert jobs["two"]["started_at"] < jobs["one"]["finished_at"]
    assert jobs["one"]["started_at"] < jobs["two"]["finished_at"]
    assert jobs["early"]["started_at"] < jobs["one"]["finished_at"]


async def test_a_retry_is_a_job_of_its_own(shell: Shell) -> None:
    """`retry` gives a second job; the first is history, and the pipeline passes."""
    text = """
a:
  retry: {max: 2, when: script_failure}
  cache: {key: k, paths: [tries], when: always}
  script: ["test -e tries || { touch tries; exit 1; }"]
"""
    pipeline = await shell.begin(text)
    jobs = await shell.end(pipeline)
    every = shell.server.forge.pipelines.jobs(pipeline, include_retried=True)
    assert [(job["status"], bool(job.get("retried"))) for job in every] == [("success", False), ("failed", True)]
    assert jobs["a"]["attempt"] == 1
    assert "Successfully extracted cache" in shell.trace(jobs["a"])


async def test_what_an_exit_code_allows_counts_for_one_attempt(shell: Shell) -> None:
    """Another code on the second attempt is not allowed; an allowed one lets a job that is played later go on."""
    pipeline = await shell.begin(
        """
stages: [a, b, c]
twice:
  stage: a
  retry: 1
  allow_failure: {exit_codes: 3}
  cache: {key: k, paths: [tries], when: always}
  script: ["test -e tries && exit 4", "touch tries; exit 3"]
"""
    )
    jobs = await shell.end(pipeline)
    assert (jobs["twice"]["status"], jobs["twice"]["allow_failure"]) == ("failed", False)
    assert (shell.server.forge.store.get("pipeline", pipeline) or {})["status"] == "failed"
    pipeline = await shell.begin(
        """
stages: [a, b, c]
odd: {stage: a, allow_failure: {exit_codes: 3}, script: ["exit 3"]}
hand: {stage: b, when: manual, allow_failure: false, script: ["true"]}
last: {stage: c, script: ["true"]}
"""
    )
    forge = shell.server.forge
    project = forge.project("g/p2")
    hand = (await shell.end(pipeline))["hand"]
    await forge.pipelines.play(project, forge.repository(project), hand, [])
    jobs = await shell.end(pipeline)
    assert {name: job["status"] for name, job in jobs.items()} == {
        "odd": "failed",
        "hand": "success",
        "last": "success",
    }


async def test_caches_follow_key_files_and_policy(shell: Shell) -> None:
    """The same lock file finds the cache of the job before; a policy of pull saves nothing; when on_failure is kept."""
    jobs = await shell.run(
        """
stages: [a, b, c]
.c: {cache: {key: {files: [lock], prefix: p}, paths: [deps/]}}
fill: {stage: a, extends: .c, script: ["mkdir deps; echo one > deps/x"]}
read:
  stage: b
  script: ["cat deps/x; echo two > deps/x"]
  cache: {key: {files: [lock], prefix: p}, paths: [deps/], policy: pull}
again: {stage: c, extends: .c, script: ["grep one deps/x"]}
other: {stage: c, cache: {key: other, paths: [deps/]}, script: ["test ! -e deps"]}
""",
        lock=b"1",
    )
    assert {name: job["status"] for name, job in jobs.items()} == dict.fromkeys(jobs, "success")
    assert "Not uploading cache p-" in shell.trace(jobs["read"])
    assert "Failed to extract cache" in shell.trace(jobs["other"])


async def test_reports_coverage_and_what_is_missing(shell: Shell) -> None:
    """JUnit and coverage of the job and the pipeline; artifacts that are not there warn; a broken dotenv fails."""
    pipeline = await shell.begin(
        r"""
a:
  coverage: '/TOTAL.*?(\d+(?:\.\d+)?)%/'
  script:
    - printf 'TOTAL 3 1 50%%\nTOTAL 9 1 87.5%%\n'
    - echo '<testsuite><testcase name="x" time="0.5"/><testcase name="y">' > r.xml
    - echo '<failure>no</failure></testcase></testsuite>' >> r.xml
    - exit 1
  allow_failure: true
  artifacts: {when: always, paths: [nothing/], reports: {junit: r.xml}}
b: {script: ["echo 'not a variable' > e"], artifacts: {reports: {dotenv: e}}, allow_failure: true}
c: {script: ["mkdir log; echo 1 > log/x; exit 1"], artifacts: {when: on_failure, paths: [log]}, allow_failure: true}
d: {script: ["echo 1 > x; exit 1"], artifacts: {paths: [x]}, allow_failure: true}
"""
    )
    jobs = await shell.end(pipeline)
    row = shell.server.forge.store.get("pipeline", pipeline) or {}
    assert (jobs["a"]["coverage"], row["coverage"]) == (87.5, "87.50")
    [suite] = jobs["a"]["test_suites"]
    assert (suite["total_count"], suite["failed_count"], suite["total_time"]) == (2, 1, 0.5)
    assert "WARNING: nothing/: no matching files" in shell.trace(jobs["a"])
    assert "ERROR: No files to upload" in shell.trace(jobs["a"])
    assert jobs["b"]["status"] == "failed"
    assert "400 Bad Request" in shell.trace(jobs["b"])
    assert jobs["c"]["archive"]
    assert not jobs["d"].get("archive")


async def test_services_and_what_lies_outside_are_told(shell: Shell) -> None:
    """A shell has no services and says so; files outside the checkout are no artifacts; links stay links."""
    jobs = await shell.run(
        """
stages: [a, b]
a:
  stage: a
  services: [postgres:16, {name: redis:7, alias: cache}]
  script: ["echo out > ../outside", "mkdir d; echo 1 > d/x; ln -s x d/y; ln -s /etc/passwd d/z"]
  artifacts: {paths: ["../outside", "/etc/hostname", d]}
b: {stage: b, script: ["test -L d/y", "cat d/y", "test ! -e d/z"]}
"""
    )
    assert "The shell starts no services; the job has to do without: postgres:16, redis:7" in shell.trace(jobs["a"])
    assert shell.trace(jobs["a"]).startswith("[sandbox] This job ran with bash on this machine")
    assert "WARNING: ../outside: no matching files" in shell.trace(jobs["a"])
    assert jobs["b"]["status"] == "success", shell.trace(jobs["b"])


async def test_an_image_that_was_not_seeded_fails_the_job_here_as_well(tmp_path: Path) -> None:
    """The shell needs no image, but greenrun's own work is not made easier."""
    data = tmp_path / "gitlab"
    async with serve(data=data, token="t", executor=Mode.SHELL, registry="127.0.0.1:9") as server:
        jobs = await Shell(server).run('a: {image: "127.0.0.1:9/python:3", script: ["echo ran"]}')
        trace = server.forge.store.trace(jobs["a"]["id"])
    assert (jobs["a"]["status"], jobs["a"]["failure_reason"]) == ("failed", "runner_system_failure")
    assert "connection refused" in trace
    assert "\nran" not in trace


async def test_variables_that_are_passed_on_purpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the person who started the sandbox named, jobs see."""
    monkeypatch.setenv("MIRROR", "http://mirror")
    async with serve(data=tmp_path / "g", token="t", executor=Mode.SHELL, passed=["MIRROR", "UNSET"]) as server:
        jobs = await Shell(server).run('a: {script: ["test $MIRROR = http://mirror"]}')
    assert jobs["a"]["status"] == "success"


async def _gone(process: int) -> None:
    """Wait until a process is gone (a zombie that nobody has waited for counts as gone)."""
    async with asyncio.timeout(5):
        with suppress(ProcessLookupError, FileNotFoundError):
            while True:
                os.kill(process, 0)
                if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    return
                await asyncio.sleep(0.02)
