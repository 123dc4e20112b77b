"""The HTTP API over a real log."""

from __future__ import annotations

import pytest

from services.gateway import decide
from shared.events import RepoSubmitted, RunFailed
from shared.settings import PortalSettings
from tests.gateway.conftest import Api

WORKFLOW = "/api/v1/pipeline/workflow"


async def test_a_submission_is_in_the_log_before_the_answer(api: Api) -> None:
    """202 with the run and its links, and exactly one `repo.submitted`."""
    answer = await api.client.post(WORKFLOW, json={"repo_url": "https://gitlab.example/a/b.git", "ref": "main"})
    assert answer.status_code == 202
    run_id = answer.json()["run_id"]
    assert answer.headers["Location"] == answer.json()["links"]["self"] == f"/api/v1/runs/{run_id}"
    [recorded] = await api.bus.history(run_id)
    assert isinstance(recorded.event, RepoSubmitted)
    assert (recorded.event.repo_url, recorded.event.ref) == ("https://gitlab.example/a/b.git", "main")


async def test_a_run_is_shown_as_its_events_fold(api: Api) -> None:
    """The state and the events of one run, as the log has them."""
    run = (await api.client.post(WORKFLOW, json={"repo_url": "https://gitlab.example/a/b.git"})).json()
    failed = RunFailed(run_id=run["run_id"], phase="analyzer", reason="no code")
    await api.bus.publish(failed, source="analyzer", cause=f"repo.submitted.{run['run_id']}.1")
    state = (await api.client.get(run["links"]["self"])).json()
    assert (state["status"], state["failure"]["reason"]) == ("failed", "no code")
    listed = (await api.client.get(run["links"]["events"])).json()
    assert [event["type"] for event in listed] == ["repo.submitted", "run.failed"]
    assert listed[1]["cause"] == f"repo.submitted.{run['run_id']}.1"


async def test_the_link_in_a_commit_leads_to_its_run(api: Api) -> None:
    """Where PORTAL_URL is the gateway, what commits and merge requests name is there."""
    run = (await api.client.post(WORKFLOW, json={"repo_url": "https://gitlab.example/a/b.git"})).json()
    link = PortalSettings(portal_url=str(api.client.base_url)).run_name(run["run_id"])
    answer = await api.client.get(link)
    assert answer.status_code == 200
    assert answer.json()["run_id"] == run["run_id"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"{}", "repo_url"),
        (b'{"repo_url": ""}', "repo_url"),
        (b'{"repo_url": "https://oauth2:glpat-x@gitlab.example/a/b.git"}', "carries credentials"),
        (b"[]", "Expected"),
    ],
)
async def test_a_bad_submission_says_what_to_change(api: Api, body: bytes, words: str) -> None:
    """422 as problem details; nothing reaches the log."""
    answer = await api.client.post(WORKFLOW, content=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json; charset=utf-8")
    assert words in answer.json()["detail"]
    assert await api.bus.all_events() == []


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    """An unknown run, a hostile id and an unknown path are 404 with a sentence."""
    for path in ("/api/v1/runs/01NOBODY", "/api/v1/runs/*", "/api/v1/runs/a.b/events", "/nothing"):
        answer = await api.client.get(path)
        assert (answer.status_code, answer.json()["status"]) == (404, 404)


async def test_without_the_token_nothing_but_health_is_answered(api: Api) -> None:
    """401 says which header to send; probes need no token."""
    for header in ("", "Bearer wrong", "Basic YTph"):
        answer = await api.client.post(WORKFLOW, json={"repo_url": "https://x/y"}, headers={"Authorization": header})
        assert answer.status_code == 401
    assert (await api.client.get("/healthz", headers={"Authorization": ""})).status_code == 200


async def test_ready_means_that_the_log_is_provisioned(api: Api) -> None:
    """The readiness probe asks for streams and consumers."""
    assert (await api.client.get("/readyz")).json() == {"ready": True, "problems": []}


@pytest.mark.parametrize(
    ("host", "token", "refused"),
    [
        *[("127.0.0.1", "", False), ("::1", "", False), ("localhost", "", False)],
        *[("0.0.0.0", "", True), ("0.0.0.0", "t", False), ("gateway.example", "", True)],
    ],
)
def test_it_listens_beyond_loopback_only_with_a_token(host: str, token: str, *, refused: bool) -> None:
    """An open API on the network is refused at the start."""
    assert bool(decide.refusal_to_listen(host, authenticates=bool(token))) is refused


async def test_a_submission_says_where_and_how_to_commit(api: Api) -> None:
    """The same options as the command has, in the JSON body; what cannot be is named."""
    wanted = {"project": "ci/web", "create_project": "import", "branch": "ci/green", "merge_request": True}
    wanted |= {"skip_ci": True, "author": "Ada <ada@example.com>"}
    answer = await api.client.post(WORKFLOW, json={"repo_url": "https://gitlab.example/a/b.git", **wanted})
    [recorded] = await api.bus.history(answer.json()["run_id"])
    assert isinstance(recorded.event, RepoSubmitted)
    assert wanted.items() <= recorded.event.model_dump().items()
    refused = await api.client.post(WORKFLOW, json={"repo_url": "https://x/y", "create_project": "empty"})
    assert refused.status_code == 422
    assert "create_project needs the project's path" in refused.json()["detail"]
