"""An OpenAI-compatible server over real HTTP: its protocol, its errors, and what other servers make of both."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from services.generator.decide import ANSWER_SCHEMA
from shared.adapters.llm import connect_model
from shared.errors import Reject, Retry
from shared.ports import Model
from shared.settings import ModelSettings

USAGE = {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 5}}
END = "[DONE]"


def piece(text: str | None, why: str | None = None) -> dict[str, Any]:
    """One event of the stream."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": why}]}


@asynccontextmanager
async def openai(
    *events: dict[str, Any] | str,
    status: int = 200,
    body: str = "",
    headers: dict[str, str] | None = None,
    seen: list[dict[str, Any]] | None = None,
    **changes: Any,
) -> AsyncIterator[Model]:
    """The provider before a server that streams these events, or refuses with this status and body."""

    async def chat(request: web.Request) -> web.StreamResponse:
        if seen is not None:
            seen.append({**await request.json(), "authorization": request.headers.get("Authorization")})
        if status != web.HTTPOk.status_code:
            return web.Response(status=status, text=body, headers=headers)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            text = event if isinstance(event, str) else json.dumps(event)
            await response.write(f"data: {text}\n\n: a comment\n\n".encode())
        await response.write_eof()
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/"
        chosen: dict[str, Any] = {"openai_url": url, "openai_model": "qwen3", "llm_timeout": 5.0, "llm_retries": 0}
        async with connect_model(ModelSettings(llm_provider="openai", **(chosen | changes))) as model:
            assert model is not None
            yield model
    finally:
        await runner.cleanup()


async def test_the_pieces_make_one_answer() -> None:
    """Text in pieces, empty pieces, comments between, and the usage after the last piece."""
    told: list[int] = []

    async def progress(tokens: int) -> None:
        told.append(tokens)

    async with openai(piece('{"a'), piece(None), piece('": "ü"}'), piece("", "stop"), USAGE, END) as model:
        completion = await model.complete("system", "prompt", ANSWER_SCHEMA, progress)
    assert (completion.text, completion.model) == ('{"a": "ü"}', "qwen3")
    assert (completion.prompt_tokens, completion.answer_tokens, completion.cost) == (20, 5, None)
    assert told[-1] == 2


async def test_the_request_asks_for_the_schema() -> None:
    """The model, both prompts, the schema, the limit of tokens, the usage, and the key where there is one."""
    seen: list[dict[str, Any]] = []
    async with openai(piece("x", "stop"), END, seen=seen, openai_api_key="sk-planted", llm_max_tokens=300) as model:
        await model.complete("system", "prompt", ANSWER_SCHEMA)
    async with openai(piece("x", "stop"), END, seen=seen) as model:
        await model.complete("system", "prompt", ANSWER_SCHEMA)
    first, second = seen
    assert [message["content"] for message in first["messages"]] == ["system", "prompt"]
    assert first["response_format"]["json_schema"]["schema"] == ANSWER_SCHEMA
    assert (first["model"], first["max_tokens"], first["stream_options"]) == ("qwen3", 300, {"include_usage": True})
    assert (first["authorization"], second["authorization"]) == ("Bearer sk-planted", None)


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (401, '{"error": {"message": "Incorrect API key", "type": "invalid"}}', Reject, "Incorrect API key"),
        (403, '{"error": "key sk-abcdefghijklmnopqrstuvwx is out"}', Reject, "key \\$.REMOVED_SECRET. is out"),
        (404, '{"error": "model not found"}', Reject, "has no model qwen3$"),
        (400, "context length exceeded", Reject, "context length exceeded"),
        (429, '{"error": {"message": "slow down"}}', Retry, "busy \\(429\\): slow down"),
        (503, "<html>proxy</html>", Retry, "busy \\(503\\)"),
    ],
)
async def test_a_refusal_says_whether_it_may_pass(status: int, body: str, error: type[Exception], said: str) -> None:
    """The server's words in either of the usual shapes; only what may pass is asked again."""
    async with openai(status=status, body=body) as model:
        with pytest.raises(error, match=said):
            await model.complete("system", "prompt", ANSWER_SCHEMA)


@pytest.mark.parametrize(
    ("events", "error", "said"),
    [
        ((piece("half"),), Retry, "closed the connection"),
        ((piece("half"), END), Retry, "closed the connection"),
        ((piece("half", "length"), END), Reject, "cut off at 1 tokens; raise LLM_MAX_TOKENS"),
        ((piece("half"), {"error": {"message": "out of memory"}}), Retry, "broke off: out of memory"),
        (("<html>login</html>",), Retry, "does not speak"),
        (("[1]",), Retry, "does not speak"),
        (({"choices": None},), Retry, "does not speak"),
        (({"choices": ["x"]},), Retry, "does not speak"),
        ((piece("x" * 90_000),) * 12, Reject, "does not stop"),
    ],
)
async def test_what_breaks_off_is_no_answer(
    events: tuple[dict[str, Any] | str, ...], error: type[Exception], said: str
) -> None:
    """Half an answer, one that was cut, an error in the stream, another protocol, one without an end."""
    async with openai(*events) as model:
        with pytest.raises(error, match=said):
            await model.complete("system", "prompt", ANSWER_SCHEMA)


@pytest.mark.parametrize(("name", "value", "said"), [("openai_model", "", "OPENAI_MODEL"), ("openai_url", "x", "http")])
async def test_a_setting_that_is_missing_is_named(name: str, value: str, said: str) -> None:
    """Before anything is asked."""
    settings = ModelSettings.model_validate({"llm_provider": "openai", "openai_model": "m", name: value})
    with pytest.raises(Reject, match=said):
        await connect_model(settings).__aenter__()
