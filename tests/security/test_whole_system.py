"""Each service under its own NATS user: everything works, and nothing that it needs is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import structlog

from greenrun import local
from shared.adapters.gitlab import GitLabClient
from shared.adapters.gitlab_hooks import install_hook
from shared.bus import Bus
from shared.events import RepoSubmitted, RunCancelled
from shared.news import EVERY_SUBJECT
from shared.permissions import BLOBS_STREAM, GETS_BLOBS, PUTS_BLOBS, READS_THE_LOG, TAKES_LEASES, TELLS, USERS
from shared.settings import GitLabSettings, WebhookSettings
from shared.topology import DLQ_STREAM, EVENTS_STREAM
from tests.e2e.conftest import DEADLINE, HAPPY, QUICK, System, types
from tests.security.conftest import Guarded, guarded

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
SAMPLES = Path(__file__).parents[2] / "greenrun" / "samples"
POISON = "repo.analyzed.01POISON.1"
SAID = "said.log"
PLANTED = {
    "gateway_token": "planted-gateway-token",
    "openai_api_key": "planted-openai-key",
    "registry_password": "planted-registry-password",
}
# Where secrets are kept on purpose, each for its owner alone; GitLab keeps the token of its hooks.
KEPT = {"gitlab.token", "gateway.token", "webhook.secret", "up.json"}


@dataclass(frozen=True)
class Strict:
    """The running system, and the NATS server that it stands on."""

    system: System
    nats: Guarded


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Strict]:
    """Everything embedded but NATS, where each service, the provisioner and the operator have users of their own."""
    home = tmp_path_factory.mktemp("greenrun")
    async with guarded(home / "guarded", secrets) as server:
        own = {user: server.own(user) for user in USERS}
        overrides = {**QUICK, **PLANTED, "nats_url": server.url, "ack_wait": 1.0, "log_level": "DEBUG"}
        with (home / SAID).open("w") as said, redirect_stderr(said):
            async with (
                local.start(home, overrides=overrides, own=own) as started,
                Bus.connect(started.settings(), "test") as bus,
            ):
                yield Strict(System(started, bus, home), server)
        structlog.reset_defaults()


async def _project(system: System, path: str, sample: str) -> str:
    return str((await system.gitlab.create_project(path, from_dir=SAMPLES / sample))["http_url_to_repo"])


async def test_a_run_is_healed_and_learned_under_least_privilege(strict: Strict) -> None:
    """From submission to template with a repair in between, and webhooks heard; the server refused nothing."""
    system = strict.system
    heard: asyncio.Queue[str] = asyncio.Queue()
    url = await _project(system, "demo/flask-shop", "flask-shop")
    hooks = WebhookSettings(**system.local.values)
    async with (
        GitLabClient.connect(GitLabSettings(**system.local.values)) as client,
        system.bus.listen(EVERY_SUBJECT, lambda said: heard.put_nowait(said["status"])),
    ):
        found = await client.project("demo/flask-shop")
        await install_hook(client, found, hooks.webhook_url, hooks.webhook_secret.get_secret_value())
        records = await system.end(await system.submit(url))
        async with asyncio.timeout(DEADLINE):
            while await heard.get() != "success":
                pass
    assert types(records) == [*HAPPY[:6], "pipeline.failed", *HAPPY[HAPPY.index("files.generated") :]]
    assert strict.nats.refusals() == []


async def test_intake_dead_letter_and_cancellation_work_under_least_privilege(strict: Strict) -> None:
    """A bare submission is adopted, what is no event is buried with its run, and a run ends on the operator's word."""
    system = strict.system
    async with strict.nats.client("operator") as client:
        url = await _project(system, "demo/flask-notes", "flask-notes")
        bare = json.dumps({"repo_url": url}).encode()
        await client.jetstream().publish("repo.submitted", bare)
        await client.jetstream().publish(POISON, b"this is no event")
    async with asyncio.timeout(DEADLINE), aclosing(system.bus.tail(types=[RepoSubmitted])) as submitted:
        async for adopted in submitted:
            if isinstance(adopted.event, RepoSubmitted) and adopted.event.submission.repo_url == url:
                break
    assert types(await system.end(adopted.event.run_id)) == HAPPY
    buried = await system.until("01POISON", lambda recorded: recorded.event.type == "run.failed")
    assert buried[-1].source == "retriever"
    assert [(letter.service, letter.subject) for letter in await system.bus.dead_letters()] == [("retriever", POISON)]

    run_id = await system.submit("https://gitlab.example/not/allowed.git")
    await system.bus.publish(RunCancelled(run_id=run_id, attempt=1, cancelled_by="test", reason=""), source="test")
    assert run_id in await system.bus.cancelled()
    assert strict.nats.refusals() == []


async def test_the_gateway_reads_and_checks_under_least_privilege(strict: Strict) -> None:
    """Over HTTP: a submission under a key, its events, lists, a dry run, a retry, and whether all is provisioned."""
    url = await _project(strict.system, "demo/dry-run", "flask-shop")
    base = strict.system.local.parts["gateway"]
    bearer = {"Authorization": f"Bearer {PLANTED['gateway_token']}"}
    async with httpx.AsyncClient(base_url=base, headers=bearer) as client:
        body = {"repo_url": "https://gitlab.example/not/allowed.git"}
        key = {"Idempotency-Key": "k"}
        twice = [await client.post("/api/v1/pipeline/workflow", json=body, headers=key) for _ in range(2)]
        assert twice[0].text == twice[1].text
        accepted = twice[0].raise_for_status().json()
        events = (await client.get(f"/api/v1/runs/{accepted['run_id']}/events")).raise_for_status().json()
        ready = (await client.get("/readyz")).raise_for_status().json()
        [*_, failed] = await strict.system.end(accepted["run_id"])
        assert failed.event.type == "run.failed"
        again = await client.post(f"/api/v1/runs/{accepted['run_id']}/retry")
        assert again.status_code == 202, again.text
        listed = await _listed(client, accepted["run_id"])
        templates = (await client.get("/api/v1/templates")).raise_for_status().json()
        seen = (await client.get("/api/v1/analysis", params={"repo_url": url}, timeout=60)).raise_for_status().json()
        letters = (await client.get("/api/v1/dead-letters")).raise_for_status().json()
        refused = await client.get("/api/v1/runs", headers={"Authorization": f"Bearer grn_{'0' * 12}_{'0' * 64}"})
    assert events[0]["type"] == "repo.submitted"
    assert ready == {"ready": True, "problems": []}
    assert listed["repo_url"] == body["repo_url"]
    assert (seen["analysis"]["framework"], len(letters["letters"]), refused.status_code) == ("flask", 1, 401)
    assert any(template["language"] == "python" for template in templates["templates"])
    assert strict.nats.refusals() == []


async def _listed(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    """The run in the list, once the list has it."""
    async with asyncio.timeout(DEADLINE):
        while True:
            runs = (await client.get("/api/v1/runs")).raise_for_status().json()["runs"]
            if found := [run for run in runs if run["run_id"] == run_id]:
                return dict(found[0])
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("user", sorted(PUTS_BLOBS | GETS_BLOBS | TAKES_LEASES | READS_THE_LOG | TELLS.keys()))
async def test_what_a_service_uses_beside_its_events_is_permitted(strict: Strict, user: str) -> None:
    """Blobs, leases, the log and live messages, each for those that the tables name."""
    content = b"a trace " * 50_000
    async with Bus.connect(strict.nats.settings("monitor"), "monitor") as monitor:
        reference = await monitor.put_blob(content)
    async with Bus.connect(strict.nats.settings(user), user) as bus:
        if user in PUTS_BLOBS:
            await bus.put_blob(content + user.encode())
        if user in GETS_BLOBS:
            assert await bus.get_blob(reference) == content
        if user in TAKES_LEASES:
            async with bus.lease("key", 1.0):
                pass
        if user in READS_THE_LOG:
            assert await bus.all_events()
        if user in TELLS:
            await bus.tell(TELLS[user].replace("*", "1"), {})
    assert strict.nats.refusals() == []


async def test_no_secret_is_in_what_all_of_it_said_and_stored(strict: Strict) -> None:
    """After everything above, at the level DEBUG: logs, events with their headers, dead letters, traces, templates."""
    values, home = strict.system.local.values, strict.system.data
    planted = {*PLANTED.values(), values["gitlab_token"], values["webhook_secret"]}
    planted |= {strict.nats.own(user)["nats_password"] for user in USERS}
    stored = await _messages(strict)
    assert len(stored) > 20
    files = [
        path for path in home.rglob("*") if path.is_file() and path.name not in KEPT and "gitlab" not in path.parts
    ]
    assert {SAID, "server.log", "chroma.sqlite3"} <= {path.name for path in files}
    assert "files.generated" in (home / SAID).read_text()
    everything = {str(path.relative_to(home)): path.read_bytes() for path in files} | stored
    assert [name for name, content in everything.items() if any(secret.encode() in content for secret in planted)] == []


async def _messages(strict: Strict) -> dict[str, bytes]:
    """Every message of the log, the dead letters and the object store, with its headers."""
    found: dict[str, bytes] = {}
    async with strict.nats.client("operator") as client:
        stream = client.jetstream()
        for name in (EVENTS_STREAM, DLQ_STREAM, BLOBS_STREAM):
            last = (await stream.stream_info(name)).state.last_seq
            for sequence in range(1, last + 1):
                message = await stream.get_msg(name, sequence)
                found[f"{name} {message.subject}"] = repr(message.headers).encode() + (message.data or b"")
    return found
