"""A GitLab that is slow, sick or unwilling: each answer is Retry or Reject, in words, after one request."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from sandbox.gitlab.clock import now
from sandbox.gitlab.server import GitLabServer
from shared.adapters.gitlab import GitLabClient
from shared.adapters.gitlab_errors import retry_after
from shared.errors import Reject, Retry
from shared.events import Job
from shared.ports import FileChange, Message, Project
from tests.committer.conftest import PROJECT, TOKEN, drop, listening, settings

SHOP = Project(1, PROJECT, "main", "http://x")
CREATE = [FileChange("create", "a", "b")]


class Answering:
    """A server with one answer for everything, and how often it was asked."""

    def __init__(self, **answer: Any) -> None:
        """As `web.Response` takes it."""
        self.answer = answer
        self.asked = 0

    async def handle(self, _request: web.Request) -> web.Response:
        """The answer."""
        self.asked += 1
        return web.Response(**self.answer)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[GitLabClient]:
        """A client of it."""
        async with listening(self.handle) as url, GitLabClient.connect(settings(url)) as client:
            yield client


def json(status: int, body: str, **headers: str) -> Answering:
    """A server that answers with this JSON."""
    return Answering(status=status, text=body, content_type="application/json", headers=headers)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, '{"message": "500 Internal Server Error"}', "answers 500"),
        (502, "<html>Bad Gateway</html>", "answers 502"),
        (503, "", "answers 503"),
        (408, "", "answers 408"),
        (200, "<html>a login page</html>", "nothing usable"),
    ],
)
async def test_a_sick_gitlab_is_a_retry_and_a_post_is_made_once(status: int, body: str, words: str) -> None:
    """The client repeats nothing: the bus does, after the committer looked for the trailer."""
    server = json(status, body)
    async with server.client() as client:
        with pytest.raises(Retry, match=words):
            await client.commit(SHOP, "b", "main", Message("m"), CREATE)
    assert server.asked == 1


async def slowed_down(value: str | None) -> float | None:
    """The wish of a GitLab that answers 429 with this `Retry-After`; the request was made once."""
    server = Answering(status=429, text="Retry later\n", headers={"Retry-After": value} if value else {})
    async with server.client() as client:
        with pytest.raises(Retry, match="asks to slow down") as raised:
            await client.commit(SHOP, "b", "main", Message("m"), CREATE)
    assert server.asked == 1
    return raised.value.after


async def test_slow_down_is_a_retry_with_gitlabs_wish() -> None:
    """429 is neither slept through nor repeated; seconds and a date are understood, and none leaves it to the bus."""
    assert await slowed_down("30") == 30
    assert await slowed_down(None) is None
    wish = await slowed_down(email.utils.formatdate(time.time() + 90, usegmt=True))
    assert wish is not None
    assert 60 < wish <= 90


@pytest.mark.parametrize("value", ["soon", "", "-1", "Tue, 99 Nov 2026 99:99:99 GMT", "1e9999"])
def test_a_wish_that_cannot_be_read_is_none(value: str) -> None:
    """The delay is then the bus's own."""
    assert retry_after(value) is None


def test_a_wish_in_the_past_is_now() -> None:
    """A date that has gone by asks for no wait."""
    assert retry_after("Tue, 24 Nov 2020 00:00:00 GMT") == 0.0


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, '{"message": "401 Unauthorized"}', "set GITLAB_TOKEN"),
        (401, '{"error": "invalid_token", "error_description": "Token was revoked."}', "set GITLAB_TOKEN"),
        (403, '{"message": "403 Forbidden - You are not allowed to push into this branch"}', "role Developer"),
        (403, '{"error": "insufficient_scope", "scope": "api"}', "it needs the scope api$"),
        (400, '{"message": "A file with this name already exists"}', "A file with this name already exists"),
        (404, '{"message": "404 Project Not Found"}', "does not find it, or the token lacks"),
    ],
)
async def test_a_no_says_what_to_do(status: int, body: str, words: str) -> None:
    """Permanent refusals name what the token needs, with GitLab's own words as evidence."""
    async with json(status, body).client() as client:
        with pytest.raises(Reject, match=words) as raised:
            await client.commit(SHOP, "b", "main", Message("m"), CREATE)
    assert raised.value.evidence
    assert TOKEN not in f"{raised.value} {raised.value.evidence}"


async def test_reading_needs_less_than_committing() -> None:
    """What is missing is that of the call: watching needs read_api, retrying a pipeline needs api."""
    async with json(403, '{"message": "403 Forbidden"}').client() as client:
        with pytest.raises(Reject, match="scope read_api and the role Reporter"):
            await client.pipeline(1, 1)
        with pytest.raises(Reject, match="scope api and the role Developer"):
            await client.retry_pipeline(1, 1)


async def test_a_project_that_is_not_there_is_named(server: GitLabServer) -> None:
    """The sentence names GitLab, the project, and what a person can do."""
    async with GitLabClient.connect(settings(server.url)) as client:
        with pytest.raises(Reject, match=rf"{server.url} has no project shop/gone .* --project"):
            await client.project("shop/gone")


async def test_a_wrong_token_is_refused_by_the_sandbox_as_well(server: GitLabServer) -> None:
    """401 from a server that really checks."""
    async with GitLabClient.connect(settings(server.url, token="wrong")) as client:
        with pytest.raises(Reject, match="set GITLAB_TOKEN"):
            await client.project(PROJECT)


async def test_a_gitlab_that_is_not_there_is_a_retry() -> None:
    """Connection refused, and a connection that closes without a word."""
    async with listening(drop) as url, GitLabClient.connect(settings(url)) as client:
        with pytest.raises(Retry, match="does not answer: ConnectionError"):
            await client.project(PROJECT)
    async with GitLabClient.connect(settings(url)) as client:
        with pytest.raises(Retry, match="does not answer: ConnectionError"):
            await client.project(PROJECT)


async def test_no_answer_in_time_is_a_retry() -> None:
    """Every call has a time limit."""
    enough = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await enough.wait()
        return web.Response()

    async with listening(hang) as url, GitLabClient.connect(settings(url, timeout=0.2)) as client:
        with pytest.raises(Retry, match="does not answer: ReadTimeout"):
            await client.pipeline(1, 1)
        enough.set()


@pytest.mark.parametrize("url", ["gitlab.example", "ftp://gitlab.example", "http://"])
async def test_an_address_that_is_none_is_a_reject(url: str) -> None:
    """No redelivery mends GITLAB_URL."""
    async with GitLabClient.connect(settings(url)) as client:
        with pytest.raises(Reject, match="GITLAB_URL"):
            await client.project(PROJECT)


async def test_a_post_that_is_redirected_is_a_reject() -> None:
    """A POST to http where GitLab is https becomes a GET on the way: said, not followed."""
    seen: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.method)
        if request.path == "/moved":
            return web.json_response({})
        raise web.HTTPMovedPermanently("/moved")

    async with listening(redirect) as url, GitLabClient.connect(settings(url)) as client:
        with pytest.raises(Reject, match="redirects; set GITLAB_URL"):
            await client.commit(SHOP, "b", "main", Message("m"), CREATE)
    assert seen == ["POST", "GET"]


async def test_a_trace_that_is_very_long_keeps_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure stands at the end, and memory is bounded."""
    monkeypatch.setattr("shared.adapters.gitlab.TRACE_BYTES", 1000)
    server = Answering(status=200, body=b"x" * 300_000 + b"the end")
    async with server.client() as client:
        trace = await client.trace(1, Job(id=1, name="a", stage="b", status="failed"))
    assert (len(trace), trace[-7:]) == (1000, b"the end")


async def test_all_pages_of_jobs_are_read(server: GitLabServer) -> None:
    """More jobs than a page has, each once, in the order of their ids."""
    store = server.forge.store
    row = {"project_id": 1, "sha": "a" * 40, "ref": "main", "source": "push", "status": "failed", "yaml_errors": None}
    row |= {"created_at": now(), "updated_at": now(), "started_at": None, "finished_at": None}
    pipeline = store.add("pipeline", row, project=1)["id"]
    for number in range(230):
        job = {**row, "pipeline_id": pipeline, "name": f"j{number}", "stage": "s"}
        store.add("job", {**job, "allow_failure": True, "failure_reason": None}, project=1)
    async with GitLabClient.connect(settings(server.url)) as client:
        found = await client.pipeline(1, pipeline)
    assert [job.name for job in found.jobs] == [f"j{number}" for number in range(230)]
