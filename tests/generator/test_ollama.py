"""Ollama over real HTTP: a local server speaks its protocol and misbehaves as it does, and as networks do."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from services.generator.decide import ANSWER_SCHEMA
from shared.adapters.llm import connect_model
from shared.errors import Reject, Retry
from shared.ports import Model
from shared.settings import ModelSettings
from tests.fakes.model import FakeModel

MODEL = "pipeline-generator-v5"
DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 20, "eval_count": 5}
LONG = "x" * 70_000

Chat = Callable[[web.Request], Awaitable[web.StreamResponse]]


def piece(text: str) -> dict[str, Any]:
    """One line of the stream."""
    return {"model": MODEL, "message": {"role": "assistant", "content": text}, "done": False}


def streaming(*lines: dict[str, Any] | str, seen: list[dict[str, Any]] | None = None) -> Chat:
    """An answer of these lines under 200, as Ollama streams them."""

    async def chat(request: web.Request) -> web.StreamResponse:
        if seen is not None:
            seen.append(await request.json())
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for line in lines:
            await response.write((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")
        await response.write_eof()
        return response

    return chat


def refusing(status: int, body: str) -> Chat:
    """An error before the stream."""

    async def chat(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body)

    return chat


@asynccontextmanager
async def ollama(chat: Chat, **changes: Any) -> AsyncIterator[Model]:
    """The adapter before a server that answers `/api/chat` so."""
    app = web.Application()
    app.router.add_post("/api/chat", chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with connect_model(settings(f"http://127.0.0.1:{runner.addresses[0][1]}", **changes)) as model:
            assert model is not None
            yield model
    finally:
        await runner.cleanup()


def settings(url: str, **changes: Any) -> ModelSettings:
    """Settings that lead there."""
    chosen: dict[str, Any] = {"llm_provider": "ollama", "ollama_url": url, "ollama_model": MODEL, "llm_timeout": 5.0}
    return ModelSettings(**(chosen | changes))


async def said(model: Model) -> str:
    """What the model answers."""
    async with asyncio.timeout(10):
        return (await model.complete("system", "prompt", ANSWER_SCHEMA)).text


@asynccontextmanager
async def fake(text: str | None) -> AsyncIterator[Model]:
    """The fake, away without a text."""
    yield FakeModel(Retry("away") if text is None else text)


@asynccontextmanager
async def real(text: str | None) -> AsyncIterator[Model]:
    """The real one, its server away without a text."""
    chat = refusing(503, '{"error": "busy"}') if text is None else streaming(piece(text), {**piece(""), **DONE})
    async with ollama(chat) as model:
        yield model


@pytest.mark.parametrize("connected", [fake, real])
async def test_what_a_model_is(connected: Callable[[str | None], Any]) -> None:
    """Fake and real alike: the whole text under the model's name, and Retry while it is away."""
    async with connected("an answer") as model:
        completion = await model.complete("system", "prompt", ANSWER_SCHEMA)
        assert (completion.text, completion.model) == ("an answer", model.name)
    async with connected(None) as model:
        with pytest.raises(Retry):
            await model.complete("system", "prompt", ANSWER_SCHEMA)


async def test_the_pieces_make_one_answer() -> None:
    """Whatever the stream was cut into, with blank lines between, and the tokens of prompt and answer together."""
    lines: list[dict[str, Any] | str] = [piece('{"pipe'), "", piece('line": ü'), piece("試"), {**piece("}"), **DONE}]
    async with ollama(streaming(*lines)) as model:
        completion = await model.complete("system", "prompt", ANSWER_SCHEMA)
    assert completion.text == '{"pipeline": ü試}'
    assert (completion.prompt_tokens, completion.answer_tokens) == (20, 5)


async def test_the_request_forbids_silent_truncation() -> None:
    """The context's size is asked for, what does not fit is an error, and the answer's schema goes along."""
    seen: list[dict[str, Any]] = []
    async with ollama(streaming({**piece("x"), **DONE}, seen=seen), ollama_num_ctx=16384) as model:
        await said(model)
    [body] = seen
    assert body["model"] == MODEL
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["options"]["num_ctx"] == 16384
    assert (body["truncate"], body["shift"], body["format"]) == (False, False, ANSWER_SCHEMA)


@pytest.mark.parametrize(
    ("chat", "words"),
    [
        (streaming(piece("a"), {"error": "CUDA out of memory"}), "broke off: CUDA out of memory"),
        (streaming(piece("half an ans")), "before the answer was complete"),
        (streaming(), "before the answer was complete"),
        (streaming("<html>a proxy"), "does not speak Ollama's protocol: '<html>"),
        (streaming("[1]"), "does not speak Ollama's protocol"),
        (streaming('{"message": "text"}'), "does not speak Ollama's protocol"),
        (streaming('{"message": {"content": 7}}'), "does not speak Ollama's protocol"),
        (refusing(503, '{"error": "server busy, please try again"}'), "busy .503.: server busy, please try again"),
        (refusing(500, "Internal Server Error"), "busy .500."),
        (refusing(429, '{"error": "too many requests"}'), "busy .429."),
    ],
)
async def test_what_may_be_better_later_is_a_retry(chat: Chat, words: str) -> None:
    """Also an error in mid-stream, which comes under 200: half an answer is never taken for one."""
    async with ollama(chat) as model:
        with pytest.raises(Retry, match=words):
            await said(model)


@pytest.mark.parametrize(
    ("chat", "words"),
    [
        (refusing(404, '{"error": "model not found"}'), f"has no model {MODEL}; run: ollama pull {MODEL}"),
        (refusing(400, '{"error": "input length exceeds the context length"}'), "input length exceeds"),
        (refusing(401, "unauthorized"), "refuses the request .401.: unauthorized"),
        (
            streaming({**piece("{"), **DONE, "done_reason": "length"}),
            "cut off: OLLAMA_NUM_CTX .*raise the one",
        ),
        (streaming(*[piece(LONG)] * 20), "does not stop"),
    ],
)
async def test_what_no_redelivery_helps_is_a_reject(chat: Chat, words: str) -> None:
    """The sentence says what a person can do."""
    async with ollama(chat) as model:
        with pytest.raises(Reject, match=words):
            await said(model)


async def test_a_model_that_is_too_slow_is_a_retry() -> None:
    """The limit is over the whole answer: a server that drips for ever does not hold a delivery for ever."""
    enough = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not enough.is_set():
            await response.write(json.dumps(piece(".")).encode() + b"\n")
            await asyncio.sleep(0.02)
        return response

    async with ollama(drip, llm_timeout=0.3) as model:
        with pytest.raises(Retry, match="gave no answer within"):
            await said(model)
        enough.set()


async def test_nobody_listening_is_a_retry() -> None:
    """Ollama is not started yet."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        async with connect_model(settings(f"http://127.0.0.1:{held.getsockname()[1]}")) as model:
            assert model is not None
            with pytest.raises(Retry, match="does not answer"):
                await said(model)


@pytest.mark.parametrize("changes", [{"url": "ollama:11434"}, {"url": ""}, {"url": "http://x", "llm_provider": "gpt"}])
async def test_a_setting_that_cannot_be_is_refused_at_the_start(changes: dict[str, str]) -> None:
    """An address without a scheme, a provider that there is not: the sentence names the variable."""
    with pytest.raises(Reject, match=r"OLLAMA_URL is .* http://|LLM_PROVIDER is 'gpt'; it is one of ollama"):
        await connect_model(settings(**changes)).__aenter__()


async def test_the_rules_are_no_model() -> None:
    """LLM_PROVIDER=rules asks nobody."""
    async with connect_model(ModelSettings(llm_provider="rules")) as model:
        assert model is None


async def test_a_password_in_the_address_is_not_told() -> None:
    """Errors go into events and logs; the server's address stands in them without its user."""
    given = ModelSettings(llm_provider="ollama", ollama_url="http://me:hunter2@127.0.0.1:9", llm_retries=0)
    async with connect_model(given) as model:
        assert model is not None
        with pytest.raises(Retry, match=r"at http://127\.0\.0\.1:9 does not answer") as told:
            await said(model)
    assert "hunter2" not in str(told.value)
