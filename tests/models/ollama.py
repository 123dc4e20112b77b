"""Ollama's protocol in front of a real model that speaks OpenAI's: the shapes are those of Ollama's API reference."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aiohttp import web

NAME = "pipeline-generator-v5"


@asynccontextmanager
async def ollama(engine: str) -> AsyncIterator[str]:
    """The base URL of `/api/chat`, answered by the model behind this base URL."""

    async def chat(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if asked["model"] != NAME:
            return web.json_response({"error": f"model '{asked['model']}' not found"}, status=404)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        async for line in _answer(engine, asked):
            await response.write(json.dumps(line).encode() + b"\n")
        await response.write_eof()
        return response

    app = web.Application(client_max_size=16_000_000)
    app.router.add_post("/api/chat", chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _answer(engine: str, asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The lines of the stream."""
    body = {
        "messages": asked["messages"],
        "max_tokens": asked["options"]["num_predict"],
        "temperature": asked["options"]["temperature"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": asked["format"]}},
    }
    async with httpx.AsyncClient(timeout=120) as client:
        done = (await client.post(f"{engine}/chat/completions", json=body)).json()
    choice, usage = done["choices"][0], done["usage"]
    yield {"model": NAME, "message": {"role": "assistant", "content": choice["message"]["content"]}, "done": False}
    counts = {"prompt_eval_count": usage["prompt_tokens"], "eval_count": usage["completion_tokens"]}
    yield {"model": NAME, "done": True, "done_reason": choice["finish_reason"], **counts}
