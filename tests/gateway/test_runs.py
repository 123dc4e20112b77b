"""What the API shows of runs: the list, the files of each attempt, traces, the end on a person's word."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenrun import embedded
from services.gateway.projector import FILE, rebuild
from shared.errors import Reject
from shared.events import Job, Pipeline, PipelineFailed, RepoSubmitted, RunCancelled, new_run_id
from tests.facts import COMMIT, PROPOSAL
from tests.gateway.conftest import URL, Api, listening, new_runs, until
from tests.gateway.story import healed


async def test_runs_are_listed_as_they_happen(api: Api) -> None:
    """Newest first, each as its events fold; the answer says up to which event it is true."""
    passed = await api.happened(healed(new_run_id()))
    young = await api.submitted()
    await api.listed()
    answer = (await api.client.get("/api/v1/runs")).json()
    assert [(run["run_id"], run["status"]) for run in answer["runs"]] == [(young, "running"), (passed, "passed")]
    assert (answer["sequence"], answer["behind"], answer["next"]) == (10, 0, None)
    row = answer["runs"][1]
    assert (row["project"], row["language"], row["attempt"]) == ("shop/web", "python", 2)
    only = (await api.client.get("/api/v1/runs", params={"status": "passed", "language": "python"})).json()
    assert [run["run_id"] for run in only["runs"]] == [passed]


async def test_pages_are_followed_by_their_link(api: Api) -> None:
    """Every run once, whatever filter the link carries on."""
    runs = new_runs(5)
    for run_id in runs:
        await api.bus.publish(RepoSubmitted(run_id=run_id, repo_url=URL), source="test")
    await api.listed()
    seen, url = [], "/api/v1/runs?limit=2&project=a/b"
    while url:
        answer = await api.client.get(url)
        seen += [run["run_id"] for run in answer.json()["runs"]]
        url = answer.links["next"]["url"] if "next" in answer.links else ""
    assert seen == list(reversed(runs))


async def test_a_wrong_parameter_is_named(api: Api) -> None:
    """422, and the parameters that there are; none is passed over in silence."""
    for query, words in (
        ("status=green", "status"),
        ("limit=0", "limit"),
        ("since=2026-01-01T00:00:00", "with its zone"),
        ("until=0.5", "until"),
        ("colour=red", "colour: Extra inputs"),
        ("cursor=%27;drop", "cursor"),
    ):
        answer = await api.client.get(f"/api/v1/runs?{query}")
        assert answer.status_code == 422, query
        assert words in answer.json()["detail"]
        assert "The parameters are: status, project" in answer.json()["detail"]


async def test_files_and_what_changed_between_attempts(api: Api) -> None:
    """The latest without a word; the others by their number; a diff of those that changed."""
    run = f"/api/v1/runs/{await api.happened(healed(new_run_id()))}"
    latest = (await api.client.get(f"{run}/files")).json()
    assert (latest["attempt"], latest["attempts"]) == (2, [1, 2])
    first = (await api.client.get(f"{run}/files?attempt=1")).json()
    assert first["files"][".gitlab-ci.yml"] == PROPOSAL.files.pipeline
    diff = (await api.client.get(f"{run}/diff")).json()
    assert (diff["from"], diff["to"], list(diff["diff"])) == (1, 2, [".gitlab-ci.yml"])
    assert "-stages: [compile]\n+stages: [compile, build]\n" in diff["diff"][".gitlab-ci.yml"]
    back = (await api.client.get(f"{run}/diff?from=2&to=1")).json()
    assert "+stages: [compile]\n" in back["diff"][".gitlab-ci.yml"]
    missing = await api.client.get(f"{run}/files?attempt=3")
    assert (missing.status_code, missing.json()["detail"]) == (404, "attempt 3 has no files; these have: 1, 2")


async def test_a_run_without_files_says_so(api: Api) -> None:
    """404 with what to wait for."""
    answer = await api.client.get(f"/api/v1/runs/{await api.submitted()}/diff")
    assert answer.status_code == 404
    assert "files.generated" in answer.json()["detail"]


async def test_the_trace_of_a_failed_job_is_text_that_no_browser_runs(api: Api) -> None:
    """Whole, byte by byte; of other jobs there is a link to GitLab."""
    said = b"\x1b[31mE: <script>alert(1)</script>\x1b[0m\n" * 1000
    jobs = (
        Job(id=7, name="test", stage="test", status="failed", trace=await api.bus.put_blob(said)),
        Job(id=8, name="sast", stage="sast", status="success", web_url="https://gitlab.example/j/8"),
    )
    pipeline = Pipeline(id=1, status="failed", jobs=jobs)
    failed = PipelineFailed(
        run_id=await api.submitted(), proposal=PROPOSAL, commit=COMMIT, outcome="failed", pipeline=pipeline
    )
    await api.bus.publish(failed, source="test")
    run = f"/api/v1/runs/{failed.run_id}"
    trace = await api.client.get(f"{run}/jobs/7/trace")
    assert (trace.content, trace.headers["Content-Type"]) == (said, "text/plain; charset=utf-8")
    assert trace.headers["X-Content-Type-Options"] == "nosniff"
    assert "https://gitlab.example/j/8" in (await api.client.get(f"{run}/jobs/8/trace")).json()["detail"]
    assert (await api.client.get(f"{run}/jobs/9/trace")).status_code == 404


async def test_a_run_is_cancelled_once_and_the_log_says_by_whom(api: Api) -> None:
    """Again it is the same answer; a run that has ended is left as it is."""
    run_id = await api.submitted()
    for _ in range(2):
        answer = await api.client.post(f"/api/v1/runs/{run_id}/cancel", json={"reason": "wrong branch"})
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    [event] = [r.event for r in await api.bus.history(run_id) if isinstance(r.event, RunCancelled)]
    assert (event.cancelled_by, event.reason) == ("GATEWAY_TOKEN", "wrong branch")
    over = await api.happened(healed(new_run_id()))
    refused = await api.client.post(f"/api/v1/runs/{over}/cancel")
    assert (refused.status_code, refused.json()["detail"]) == (409, "the run has passed; there is nothing to cancel")


async def test_two_gateways_have_a_list_each_and_both_are_right(nats: str, tmp_path: Path) -> None:
    """One keeps its file over a restart, one makes it anew; what came meanwhile is in both."""
    async with listening(nats, gateway_data=str(tmp_path / "one")) as one:
        await one.happened(healed(new_run_id()))
    async with listening(nats, gateway_data=str(tmp_path / "one")) as one, listening(nats) as two:
        await one.submitted()
        await one.listed()
        await two.listed()
        lists = [(await api.client.get("/api/v1/runs")).json()["runs"] for api in (one, two)]
    assert lists[0] == lists[1]
    assert [run["status"] for run in lists[0]] == ["running", "passed"]


async def test_the_list_goes_on_after_nats_was_away(tmp_path: Path) -> None:
    """Meanwhile the list is still shown; afterwards what happened is in it, without a restart."""
    port = embedded.free_port()
    async with embedded.nats_server(tmp_path / "nats", port=port) as url:
        started = listening(url)
        api = await started.__aenter__()
        before = await api.submitted()
        await api.listed()
    assert [run["run_id"] for run in (await api.client.get("/api/v1/runs")).json()["runs"]] == [before]
    async with embedded.nats_server(tmp_path / "nats", port=port):
        after = await api.submitted()
        await until(lambda: api.gateway.runs.sequence >= 2)
        assert [run["run_id"] for run in (await api.client.get("/api/v1/runs")).json()["runs"]] == [after, before]
        await started.__aexit__(None, None, None)


async def test_a_list_is_made_again_from_the_log(api: Api, tmp_path: Path) -> None:
    """`greenrun replay`: whatever the file held; one that a gateway has open is left alone."""
    run_id = await api.happened(healed(new_run_id()))
    folder = tmp_path / "replayed"
    assert await rebuild(folder, api.bus) == 9
    (folder / FILE).write_bytes(b"spoilt" * 1000)
    assert await rebuild(folder, api.bus) == 9
    async with listening(api.gateway.settings.nats_url, gateway_data=str(folder)) as other:
        with pytest.raises(Reject, match="another gateway"):
            await rebuild(folder, api.bus)
        await other.listed()
        assert (await other.client.get("/api/v1/runs")).json()["runs"][0]["run_id"] == run_id


async def test_a_gateway_may_start_before_the_log_is_made(nats: str) -> None:
    """It is not ready, answers all the same, and follows the log once it is there."""
    async with listening(nats, provision=False) as api:
        assert (await api.client.get("/readyz")).status_code == 503
        assert (await api.client.get("/api/v1/runs")).json()["runs"] == []
        events = await api.client.get("/api/v1/events", headers={"Accept": "text/event-stream"})
        assert (events.status_code, events.headers["Retry-After"]) == (503, "5")
        await api.bus.provision()
        await api.submitted()
        await api.listed()
        assert len((await api.client.get("/api/v1/runs")).json()["runs"]) == 1
