"""When a watch is over, and whether the gate opens."""

from __future__ import annotations

import json

import pytest

from services.monitor.decide import (
    ALL_EXCERPTS_BYTES,
    EXCERPT_BYTES,
    MAX_JOBS,
    Pace,
    Sight,
    excerpt,
    excerpt_bytes,
    fitting,
    needs_jobs,
    reasons,
    stands,
    verdict,
)
from shared.ci.gate import gate, whens
from shared.events import Files, Job, Pipeline, Rerun
from tests.facts import COMMIT

PACE = Pace(interval=30, timeout=900, no_pipeline_after=60)
SHA = "a" * 40
WHENS = {"compile": "on_success", "notify_failure": "on_failure", "always": "always"}


def job(name: str, status: str, number: int = 1, *, allowed: bool = False, reason: str | None = None) -> Job:
    """One job."""
    return Job(id=number, name=name, stage="s", status=status, allow_failure=allowed, failure_reason=reason)


def pipeline(status: str, *jobs: Job, yaml_errors: str | None = None) -> Pipeline:
    """A pipeline with an id."""
    return Pipeline(id=3, status=status, jobs=jobs, yaml_errors=yaml_errors)


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([("compile", "success")], []),
        ([("compile", "success"), ("notify_failure", "skipped")], []),
        ([("notify_failure 2/5", "skipped")], []),
        ([("notify_failure: [linux, 3.12]", "skipped")], []),
        ([], ["the pipeline has no jobs"]),
        ([("compile", "skipped")], ["compile in stage s is skipped"]),
        ([("always", "skipped")], ["always in stage s is skipped"]),
        ([("unknown", "skipped")], ["unknown in stage s is skipped"]),
        ([("notify_failure", "failed")], ["notify_failure in stage s is failed"]),
        ([("notify_failure", "canceled")], ["notify_failure in stage s is canceled"]),
        ([("compile", "manual")], ["compile in stage s is manual"]),
        ([("compile", "success"), ("always", "canceled")], ["always in stage s is canceled"]),
    ],
)
def test_the_gate_job_by_job(jobs: list[tuple[str, str]], words: list[str]) -> None:
    """Success of every job; `skipped` only of one whose own `when` is `on_failure`; at least one job."""
    assert list(gate([job(*one) for one in jobs], WHENS)) == words


def test_a_job_that_may_fail_must_not() -> None:
    """`allow_failure` makes the pipeline green on GitLab, never the gate; GitLab's reason is named."""
    failed = job("sast", "failed", allowed=True, reason="script_failure")
    assert gate([failed], {}) == ("sast in stage s is failed (script_failure) although it may fail",)
    assert verdict(pipeline("success", failed), {}) == "failed"


@pytest.mark.parametrize(
    ("status", "jobs", "expected"),
    [
        ("success", ["success", "success"], "passed"),
        ("failed", ["success", "failed"], "failed"),
        ("failed", ["success"], "failed"),
        ("success", [], "failed"),
        ("canceled", ["success", "canceled"], "canceled"),
        ("skipped", [], "skipped"),
        ("skipped", ["skipped"], "skipped"),
        ("manual", ["success", "manual"], "blocked"),
        ("scheduled", ["scheduled"], "blocked"),
        ("success", ["success", "running"], "running"),
        ("failed", ["failed", "created"], "running"),
        ("success", ["success", "manual"], "blocked"),
        ("success", ["failed", "manual"], "failed"),
        *((status, ["success"], "running") for status in ("created", "pending", "running", "preparing", "canceling")),
        *((status, ["success"], "running") for status in ("waiting_for_resource", "waiting_for_callback")),
    ],
)
def test_each_status_of_a_pipeline(status: str, jobs: list[str], expected: str) -> None:
    """All thirteen statuses that GitLab has."""
    made = [job(f"j{number}", ended, number) for number, ended in enumerate(jobs)]
    assert verdict(pipeline(status, *made), {}) == expected


def test_a_yaml_error_is_its_own_outcome() -> None:
    """GitLab makes a failed pipeline without jobs; its words are the reason."""
    broken = pipeline("failed", yaml_errors="jobs:test config should implement the script: keyword")
    assert verdict(broken, {}) == "yaml_error"
    [reason] = reasons("yaml_error", Sight(broken), SHA, PACE, {})
    assert "should implement the script" in reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {script: [x], when: on_failure}", "on_failure"),
        ("a: {script: [x]}", "on_success"),
        (".b: {when: on_failure}\na: {script: [x], extends: .b}", "on_failure"),
        (".b: {when: on_failure}\na: {script: [x], extends: .b, when: always}", "always"),
        ("a: {script: [x], rules: [{if: $A, when: on_failure}, {when: never}]}", "on_failure"),
        ("a: {script: [x], when: on_failure, rules: [{if: $A}]}", "on_failure"),
        ("a: {script: [x], when: on_failure, rules: [{if: $A, when: on_success}]}", "on_success"),
        ("a: {script: [x], rules: [{if: $A, when: on_failure}, {if: $B}]}", "on_success"),
        ("a: {script: [x], rules: [{when: never}]}", "on_success"),
        (".r: {rules: [{when: on_failure}]}\na: {script: [x], rules: [!reference [.r, rules]]}", "on_failure"),
    ],
)
def test_when_comes_from_the_files(text: str, expected: str) -> None:
    """GitLab's API does not tell a job's `when`; where rules leave it open, the gate stays strict."""
    assert whens(Files(pipeline=text, dockerfile=""))["a"] == expected


@pytest.mark.parametrize("text", ["", "a: [", "- just\n- a list", "\x00", "a: {rules: 7}", "a: {when: {x: 1}}"])
def test_files_that_cannot_be_read_exempt_no_job(text: str) -> None:
    """Whatever the file holds, the gate asks every job for success."""
    assert "on_failure" not in whens(Files(pipeline=text, dockerfile="")).values()


@pytest.mark.parametrize(
    ("sight", "age", "expected"),
    [
        (Sight(), 10, "running"),
        (Sight(), 61, "no_pipeline"),
        (Sight(silence="GitLab does not answer"), 61, "running"),
        (Sight(silence="GitLab does not answer"), 900, "deadline"),
        (Sight(pipeline("running")), 899, "running"),
        (Sight(pipeline("running")), 900, "deadline"),
        (Sight(pipeline("running"), "GitLab does not answer"), 500, "running"),
        (Sight(pipeline("pending", job("a", "pending"))), 901, "deadline"),
        (Sight(pipeline("success", job("a", "success"))), 5000, "passed"),
        (Sight(pipeline("failed", job("a", "failed"))), 5000, "failed"),
    ],
)
def test_how_a_watch_stands(sight: Sight, age: float, expected: str) -> None:
    """An end that is seen counts however late; silence is not the absence of a pipeline."""
    assert stands(sight, None, age, PACE, {}) == expected


@pytest.mark.parametrize(
    ("last_job_id", "jobs", "age", "expected"),
    [
        (7, [job("a", "failed", 7)], 5, "running"),
        (7, [job("a", "failed", 7)], 61, "failed"),
        (7, [job("a", "failed", 8)], 5, "failed"),
        (7, [job("a", "success", 8)], 5, "passed"),
        (0, [job("a", "failed", 7)], 5, "failed"),
    ],
)
def test_after_a_rerun_the_old_end_does_not_count(last_job_id: int, jobs: list[Job], age: int, expected: str) -> None:
    """Until a job is newer than the last one known, GitLab gets the time that it gets to make a pipeline."""
    status = "success" if jobs[0].status == "success" else "failed"
    rerun = Rerun(commit=COMMIT, pipeline_id=3, last_job_id=last_job_id)
    assert stands(Sight(pipeline(status, *jobs)), rerun, age, PACE, {}) == expected


@pytest.mark.parametrize(
    ("looks", "changed", "age", "hooked", "seconds"),
    [
        *((looks, 0, looks, False, seconds) for looks, seconds in enumerate((1, 2, 3, 5, 8, 13, 20, 30), 1)),
        (9, 100, 699, False, 30),
        (9, 100, 701, False, 60),
        (9, 100, 890, False, 10),
        (1, 0, 1, True, 300),
        (9, 100, 880, True, 20),
        (9, 100, 950, False, 0),
    ],
)
def test_the_pace_is_quick_at_first_and_slow_where_nothing_changes(
    looks: int, changed: float, age: float, hooked: bool, seconds: float
) -> None:
    """Then the interval, twice that after ten minutes, ten times where webhooks come; never past the deadline."""
    sight = Sight(pipeline("running"), looks=looks, changed=changed)
    assert PACE.pause(sight, age, hooked=hooked) == seconds


def test_where_there_is_no_pipeline_the_moment_is_not_missed_at_which_that_is_known() -> None:
    """A project whose webhooks come is looked at again when GitLab has had its time to make a pipeline."""
    assert PACE.pause(Sight(looks=1), 10, hooked=True) == 51


def test_jobs_that_come_late_are_looked_at_soon() -> None:
    """The pipeline is over, one of its jobs is not yet shown so."""
    sight = Sight(pipeline("failed", job("a", "running")), looks=20)
    assert PACE.pause(sight, 100, hooked=True) == 1


def seen(before: Sight, status: str, age: float, *jobs: Job) -> Sight:
    """One look later."""
    return before.after(pipeline(status, *jobs), age)


def test_a_pipeline_that_no_runner_takes_is_stuck() -> None:
    """Pending for longer than a runner may take to come; the job is named with the tags that it asks for."""
    waits = job("compile", "pending").model_copy(update={"tags": ("arm", "gpu")})
    first = seen(Sight(), "pending", 1)
    assert not needs_jobs(pipeline("pending"), first, 300, PACE)
    assert needs_jobs(pipeline("pending"), first, 302, PACE)
    now = seen(first, "pending", 302, waits)
    assert stands(now, None, 302, PACE, {}, first) == "stuck"
    assert reasons("stuck", now, SHA, PACE, {}) == (
        "compile in stage s waits for a runner for more than 300 s; none with the tags arm, gpu takes it",
    )


def test_jobs_that_wait_behind_others_are_not_stuck() -> None:
    """Something runs, or what is pending was not so at the look before; the second time it is."""
    first = seen(Sight(), "running", 1)
    assert not needs_jobs(pipeline("running"), first, 400, PACE)
    busy = seen(first, "running", 601, job("a", "running"), job("b", "pending", 2))
    assert stands(busy, None, 601, PACE, {}, first) == "running"
    begun = seen(first, "running", 601, job("a", "success"), job("b", "pending", 2))
    assert stands(begun, None, 601, PACE, {}, first) == "running"
    patient = Pace(30, 5000, 60)
    later = seen(begun, "running", 1202, job("a", "success"), job("b", "pending", 2))
    assert stands(later, None, 1202, patient, {}, begun) == "stuck"


def test_reasons_name_what_waits_and_what_did_not_end() -> None:
    """Jobs that wait for a person, and the unfinished at the deadline, by name and status."""
    jobs = (job("deploy", "manual"), job("a", "success", 2), job("b", "pending", 3))
    blocked = reasons("blocked", Sight(pipeline("manual", *jobs)), SHA, PACE, {})
    assert blocked == ("deploy in stage s waits for a person: it is manual",)
    late = reasons("deadline", Sight(pipeline("running", *jobs), "GitLab does not answer"), SHA, PACE, {})
    assert late[0] == "not over after 900 s; the pipeline is running; GitLab does not answer"
    assert late[1:] == ("deploy is manual", "b is pending")
    never = reasons("deadline", Sight(silence="GitLab does not answer"), SHA, PACE, {})
    assert never == ("not over after 900 s; GitLab does not answer",)
    assert "made no pipeline for aaaaaaaaaaaa" in reasons("no_pipeline", Sight(), SHA, PACE, {})[0]


def test_an_excerpt_is_the_end_as_a_person_reads_it() -> None:
    """Colours, section marks, overwritten progress and control characters are gone; the last 40 lines stay."""
    noise = b"".join(b"line %d\r\n" % number for number in range(100))
    marks = b"section_start:1560896352:build[collapsed=true]\r\x1b[0K\x1b[36;1mBuild\x1b[0;m\n"
    link = b"\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\\n"
    text = excerpt(noise + marks + b"10%\r50%\r100%\n\n" + link + b"a\x00\x07b\nERROR: Job failed\n")
    assert text.splitlines()[-5:] == ["Build", "100%", "here", "ab", "ERROR: Job failed"]
    assert len(text.splitlines()) == 40


@pytest.mark.parametrize("text", ["漢", "ü", "x", '"', "\\", "\t"])
def test_an_excerpt_is_bounded_in_bytes_of_json(text: str) -> None:
    """Whatever a job printed: the end of it, as much as fits."""
    kept = excerpt((f"a{text * 300}b\n" * 3000 + f"{text}end").encode())
    size = len(json.dumps(kept, ensure_ascii=False).encode()) - 2
    assert EXCERPT_BYTES - 4 <= size <= EXCERPT_BYTES
    assert kept.endswith(f"{text}end")


@pytest.mark.parametrize("trace", [b"", b"\n\n", b"\x00\r\x1b[0m"])
def test_a_trace_with_nothing_to_read_has_no_excerpt(trace: bytes) -> None:
    """And no error either."""
    assert excerpt(trace) == ""


def test_an_event_has_room_for_what_failed() -> None:
    """Of very many jobs those that did not succeed are kept, and all excerpts together are bounded."""
    jobs = [job(f"j{number}", "failed" if number % 10 == 9 else "success", number) for number in range(1000)]
    kept = fitting(pipeline("failed", *jobs)).jobs
    assert len(kept) == MAX_JOBS
    assert sum(one.status == "failed" for one in kept) == 100
    assert [one.id for one in kept] == sorted(one.id for one in kept)
    assert excerpt_bytes(100) * 100 <= ALL_EXCERPTS_BYTES
    assert excerpt_bytes(0) == excerpt_bytes(10) == EXCERPT_BYTES
    assert len(reasons("failed", Sight(pipeline("failed", *jobs)), SHA, PACE, {})) == 51
