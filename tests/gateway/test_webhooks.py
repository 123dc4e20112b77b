"""GitLab's webhooks over HTTP, and what the monitors hear of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from greenrun import embedded
from services.gateway import decide
from services.gateway.service import connect
from services.gateway.settings import Settings
from shared.bus import Bus
from shared.news import EVERY_SUBJECT
from tests.gateway.conftest import TOKEN

HOOK = "/api/v1/webhooks/gitlab"
SECRET = "a-webhook-secret"
SHA = "a" * 40
# GitLab's own shapes, cut to what is read.
PIPELINE = {
    "object_kind": "pipeline",
    "object_attributes": {"id": 47, "sha": SHA, "status": "success", "ref": "main"},
    "project": {"id": 1, "path_with_namespace": "grp/demo"},
    "builds": [{"id": 7, "name": "sast", "status": "failed"}],
}
JOB = {
    "object_kind": "build",
    "sha": SHA,
    "build_id": 7,
    "build_name": "sast",
    "build_status": "failed",
    "pipeline_id": 47,
    "project_id": 1,
    "commit": {"id": 47, "sha": SHA, "status": "running"},
}


class Hooks:
    """A client that is GitLab, and the news that the monitors hear."""

    def __init__(self, client: httpx.AsyncClient, heard: asyncio.Queue[dict[str, Any]]) -> None:
        """Over a running gateway."""
        self.client = client
        self.heard = heard

    async def post(self, body: Any, kind: str = "Pipeline Hook", **headers: str) -> httpx.Response:
        """A webhook with the secret, unless the headers say otherwise."""
        sent = {"X-Gitlab-Event": kind, "X-Gitlab-Token": SECRET, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(HOOK, content=content, headers=sent)

    async def news(self) -> dict[str, Any]:
        """The next that is heard."""
        return await asyncio.wait_for(self.heard.get(), 10)


@asynccontextmanager
async def gateway(nats: str, secret: str = SECRET) -> AsyncIterator[Hooks]:
    """A gateway and a listener."""
    settings = Settings(nats_url=nats, gateway_port=0, gateway_token=TOKEN, webhook_secret=secret)
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    async with (
        Bus.connect(settings, "gateway") as bus,
        Bus.connect(settings, "monitor") as other,
        other.listen(EVERY_SUBJECT, lambda said: heard.put_nowait(dict(said))),
        connect(settings, bus) as deps,
        httpx.AsyncClient(base_url=deps.url, timeout=10) as client,
    ):
        await other.provision()  # a round trip: the subscription is known to the server
        yield Hooks(client, heard)


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Hooks]:
    """On a real NATS server."""
    async with embedded.nats_server(tmp_path / "nats") as nats, gateway(nats) as made:
        yield made


async def test_a_webhook_is_answered_and_heard(hooks: Hooks) -> None:
    """Pipeline and job; the bearer token of the API is not asked for."""
    assert (await hooks.post(PIPELINE)).status_code == 202
    told = {"project_id": 1, "pipeline_id": 47, "sha": SHA}
    assert await hooks.news() == {**told, "status": "success", "job": None}
    assert (await hooks.post(JOB, "Job Hook")).status_code == 202
    assert await hooks.news() == {**told, "status": "running", "job": "sast"}


async def test_the_same_delivery_is_passed_on_once(hooks: Hooks) -> None:
    """By Idempotency-Key, else by the event's UUID; without either each is its own."""
    for headers in ({"Idempotency_Key": "k1"}, {"X_Gitlab_Event_UUID": "u1"}):
        answers = [(await hooks.post(PIPELINE, **headers)).status_code for _ in range(2)]
        assert answers == [202, 200]
        await hooks.news()
    for _ in range(2):
        assert (await hooks.post(PIPELINE)).status_code == 202
        await hooks.news()
    assert hooks.heard.empty()


@pytest.mark.parametrize("token", ["", "wrong", SECRET + "x", SECRET[:-1], "ü"])
async def test_without_the_secret_nothing_is_heard(hooks: Hooks, token: str) -> None:
    """401, whatever the body is."""
    sent = [(b"X-Gitlab-Event", b"Pipeline Hook"), (b"X-Gitlab-Token", token.encode())]
    assert (await hooks.client.post(HOOK, json=PIPELINE, headers=sent)).status_code == 401
    assert hooks.heard.empty()


async def test_a_gateway_without_a_secret_takes_no_webhook(tmp_path: Path) -> None:
    """An empty token is not an empty secret's equal; the answer says what to set."""
    async with embedded.nats_server(tmp_path / "nats") as nats, gateway(nats, secret="") as hooks:
        answer = await hooks.post(PIPELINE, X_Gitlab_Token="")
        assert (answer.status_code, answer.json()["detail"]) == (401, "set WEBHOOK_SECRET")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Push Hook", PIPELINE),
        ("Pipeline Hook", b"{"),
        ("Pipeline Hook", b"\xff"),
        ("Pipeline Hook", b"[" * 100_000),
        ("Pipeline Hook", []),
        ("Pipeline Hook", {"object_attributes": None, "project": {}}),
        ("Pipeline Hook", {**PIPELINE, "project": {"id": "1 or 2"}}),
        ("Job Hook", {**JOB, "commit": "x", "pipeline_id": None}),
    ],
)
async def test_what_says_nothing_is_answered_2xx_all_the_same(hooks: Hooks, kind: str, body: Any) -> None:
    """GitLab switches off a hook whose receiver fails; nothing is passed on."""
    assert (await hooks.post(body, kind)).status_code == 200
    assert hooks.heard.empty()


async def test_a_pipeline_of_very_many_jobs_is_heard(hooks: Hooks) -> None:
    """The body is larger than one of the API may be."""
    many = {**PIPELINE, "builds": [{"id": n, "name": "x" * 500} for n in range(2000)]}
    assert (await hooks.post(many)).status_code == 202
    assert (await hooks.news())["pipeline_id"] == 47


def test_an_older_gitlab_names_the_pipeline_in_the_commit() -> None:
    """In a Job Hook `commit.id` is the pipeline's id."""
    said = decide.news_of("Job Hook", json.dumps({**JOB, "pipeline_id": None}).encode())
    assert said is not None
    assert said.pipeline_id == 47
