"""What is done over the API is an event, done once, and signed."""

from __future__ import annotations

import asyncio

import nats

from shared.events import RepoAnalyzed, RepoSubmitted, RunFailed
from shared.topology import DLQ_STREAM
from tests.facts import FLASK, SUBMISSION
from tests.gateway.conftest import URL, Api, listening

WORKFLOW = "/api/v1/pipeline/workflow"
BODY = {"repo_url": URL}


async def test_the_same_key_is_the_same_run(api: Api, nats: str) -> None:
    """Ten at once over two gateways: one run, one event, one answer."""
    async with listening(nats) as other:
        posts = [
            each.client.post(WORKFLOW, json=BODY, headers={"Idempotency-Key": "k1"})
            for each in (api, other)
            for _ in range(5)
        ]
        answers = await asyncio.gather(*posts)
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert len(await api.bus.all_events()) == 1


async def test_a_key_that_was_taken_by_one_who_died_gets_its_run(api: Api) -> None:
    """Between the key and the event the gateway was killed: the client's repetition brings the event."""
    dying = api.bus.publish
    try:
        api.bus.publish = _die  # type: ignore[method-assign]
        first = await api.client.post(WORKFLOW, json=BODY, headers={"Idempotency-Key": "k1"})
    finally:
        api.bus.publish = dying  # type: ignore[method-assign]
    assert first.status_code == 500
    again = await api.client.post(WORKFLOW, json=BODY, headers={"Idempotency-Key": "k1"})
    assert again.status_code == 202
    [recorded] = await api.bus.all_events()
    assert recorded.event.run_id == again.json()["run_id"]


async def _die(*_: object, **__: object) -> bool:
    raise RuntimeError("killed")


async def test_a_key_is_for_one_submission(api: Api) -> None:
    """Another body is refused with the run that has the key; another key is another run."""
    first = (await api.client.post(WORKFLOW, json=BODY, headers={"Idempotency-Key": "k1"})).json()
    other = await api.client.post(WORKFLOW, json={**BODY, "ref": "dev"}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 422
    assert first["run_id"] in other.json()["detail"]
    second = (await api.client.post(WORKFLOW, json=BODY, headers={"Idempotency-Key": "k2"})).json()
    assert second["run_id"] != first["run_id"]
    wrong = await api.client.post(WORKFLOW, json=BODY, headers={"Idempotency-Key": "k" * 256})
    assert (wrong.status_code, "Idempotency-Key" in wrong.json()["detail"]) == (422, True)


REFUSED: tuple[tuple[dict[str, object], str], ...] = (
    ({"model": "qwen3"}, "OLLAMA_MODEL"),
    ({"provider": "openai"}, "LLM_PROVIDER"),
    ({"registry": "x:5000"}, "NEXUS_REGISTRY"),
    ({"requested_by": "somebody else"}, "whoever the token belongs to"),
    ({"colour": "red"}, "colour: Extra inputs"),
    ({"builder": "docker"}, "builder"),
    ({"heal_attempts": -1}, "heal_attempts"),
    ({"auto_heal": False, "heal_attempts": 3}, "leave one of them out"),
)


async def test_no_option_is_taken_and_passed_over(api: Api) -> None:
    """What a submission cannot say is refused with where it is said."""
    for option, words in REFUSED:
        answer = await api.client.post(WORKFLOW, json={**BODY, **option})
        assert answer.status_code == 422, option
        assert words in answer.json()["detail"]
    assert await api.bus.all_events() == []


async def test_options_are_in_the_event(api: Api) -> None:
    """Builder and repairs, and who asked."""
    wanted = {"builder": "buildah", "auto_heal": False}
    run_id = (await api.client.post(WORKFLOW, json={**BODY, **wanted})).json()["run_id"]
    [recorded] = await api.bus.history(run_id)
    assert isinstance(recorded.event, RepoSubmitted)
    assert (recorded.event.builder, recorded.event.heal_attempts) == ("buildah", 0)
    assert (recorded.event.requested_by, recorded.by) == ("GATEWAY_TOKEN", "GATEWAY_TOKEN")


async def failed(api: Api) -> str:
    """A run that ended in the retriever."""
    run_id = await api.submitted()
    analyzed = RepoAnalyzed(run_id=run_id, submission=SUBMISSION, commit_sha="0" * 40, analysis=FLASK)
    await api.bus.publish(analyzed, source="analyzer")
    await api.bus.publish(RunFailed(run_id=run_id, phase="retriever", reason="Chroma is away"), source="retriever")
    return run_id


async def test_a_run_is_retried_from_where_it_failed_and_signed(api: Api) -> None:
    """The next attempt begins with the event that the failed phase had; while it runs there is no other."""
    run = f"/api/v1/runs/{await failed(api)}"
    answer = await api.client.post(f"{run}/retry")
    assert answer.status_code == 202
    assert (answer.json()["attempt"], answer.json()["event"].startswith("repo.analyzed.")) == (2, True)
    last = (await api.client.get(f"{run}/events")).json()[-1]
    assert (last["type"], last["attempt"], last["by"]) == ("repo.analyzed", 2, "GATEWAY_TOKEN")
    assert (await api.client.get(run)).json()["status"] == "running"
    refused = await api.client.post(f"{run}/retry")
    assert (refused.status_code, "in flight" in refused.json()["detail"]) == (409, True)


async def test_a_retry_may_begin_earlier_with_other_options(api: Api) -> None:
    """What makes no difference any more, or is no option, is refused."""
    run_id = await failed(api)
    retry = f"/api/v1/runs/{run_id}/retry"
    for wrong in ({"from": "run.failed"}, {"from": "repo.analyzed", "options": {"ref": "x"}}, {"options": {"x": 1}}):
        assert (await api.client.post(retry, json=wrong)).status_code == 409
    assert (await api.client.post(retry, json={"form": "repo.submitted"})).status_code == 422
    answer = await api.client.post(retry, json={"from": "repo.submitted", "options": {"ref": "dev", "builder": None}})
    assert answer.json()["event"] == f"repo.submitted.{run_id}.2"
    event = (await api.bus.history(run_id))[-1].event
    assert isinstance(event, RepoSubmitted)
    assert event.ref == "dev"


async def buried(api: Api, service: str = "retriever") -> str:
    """The id of a dead letter of a run's `repo.analyzed`."""
    run_id = await failed(api)
    analyzed = (await api.bus.history(run_id))[1]
    client = await nats.connect(api.gateway.settings.nats_url)
    headers = {"greenrun-subject": analyzed.subject, "greenrun-reason": "Chroma is away"}
    await client.jetstream().publish(f"dlq.{service}.{analyzed.sequence}", b"{}", headers=headers, stream=DLQ_STREAM)
    await client.close()
    return f"{service}.{analyzed.sequence}"


async def test_a_dead_letter_is_shown_and_delivered_again_once(api: Api) -> None:
    """Its run goes on under the next attempt; the letter says what became of it and by whom."""
    letter = await buried(api)
    [listed] = (await api.client.get("/api/v1/dead-letters")).json()["letters"]
    assert (listed["id"], listed["reason"], listed["outcome"]) == (letter, "Chroma is away", None)
    assert (await api.client.get(f"/api/v1/dead-letters/{letter}")).json()["body"] == "{}"
    done = (await api.client.post(f"/api/v1/dead-letters/{letter}/redrive")).json()
    assert (done["outcome"], done["settled_by"]) == ("redriven", "GATEWAY_TOKEN")
    assert done["next"] == f"repo.analyzed.{listed['run_id']}.2"
    again = await api.client.post(f"/api/v1/dead-letters/{letter}/redrive")
    assert (again.status_code, "was redriven by" in again.json()["detail"]) == (409, True)


async def test_a_dead_letter_is_let_go_with_a_reason(api: Api) -> None:
    """It stays in the list, settled; one that is not there is 404."""
    letter = await buried(api)
    done = await api.client.post(f"/api/v1/dead-letters/{letter}/discard", json={"reason": "known"})
    assert (done.status_code, done.json()["outcome"]) == (200, "discarded")
    assert (await api.client.get("/api/v1/dead-letters/seeder.1")).status_code == 404
