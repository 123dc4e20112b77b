"""A server that speaks Anthropic's `/v1/messages` as far as Claude Code asks it; a test says what comes back.

Shapes: Anthropic's Messages API reference (streaming, errors, tool use).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

PIECE = 4_000
KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}


@dataclass
class Messages:
    """`answer` is what the model gives to the tool for structured answers, `text` what it says without one.

    `status` other than 200 is an error, `stop` is why the model ended; with `hang` nothing comes. `asked` are the
    bodies of the requests.
    """

    url: str = ""
    answer: Mapping[str, Any] | None = None
    text: str = "Done."
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stop: str = ""
    hang: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One message."""
        if not request.path.endswith("/v1/messages"):
            return web.json_response({"input_tokens": 42})
        body = await request.json()
        self.asked.append({**body, "key": request.headers.get("x-api-key", "")})
        self.arrived.set()
        if self.hang:
            await self.released.wait()
            return web.Response(status=503)
        if self.status != web.HTTPOk.status_code:
            error = {"type": KINDS.get(self.status, "api_error"), "message": f"status {self.status}"}
            return web.json_response({"type": "error", "error": error}, status=self.status, headers=self.headers)
        return await self._stream(request, body)

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        tool = next((one["name"] for one in body.get("tools", ()) if one["name"] == "StructuredOutput"), None)
        use = self.answer is not None and tool is not None and not _answered(body)
        with suppress(ConnectionError):  # who asked is gone
            for event in self._events(body, tool if use else None):
                await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            await response.write_eof()
        return response

    def _events(self, body: dict[str, Any], tool: str | None) -> list[dict[str, Any]]:
        usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 7}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
        if tool:
            block: dict[str, Any] = {"type": "tool_use", "id": f"toolu_{len(self.asked)}", "name": tool, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in _parts(json.dumps(self.answer))]
        else:
            block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": part} for part in _parts(self.text)]
        stop = {"stop_reason": self.stop or ("tool_use" if tool else "end_turn"), "stop_sequence": None}
        return [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": block},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 20}},
            {"type": "message_stop"},
        ]


def _parts(text: str) -> list[str]:
    """The text in the small pieces that a stream has."""
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)] or [""]


def _answered(body: dict[str, Any]) -> bool:
    """Whether the model's tool call was answered already: then it only has to end its turn."""
    contents = [one["content"] for one in body["messages"] if one["role"] == "user"]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return any(block.get("type") == "tool_result" and not block.get("is_error") for block in blocks)


@asynccontextmanager
async def messages(**answers: Any) -> AsyncIterator[Messages]:
    """The server on a free port of this machine, with these answers."""
    server = Messages(**answers)
    app = web.Application(client_max_size=64_000_000)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        server.released.set()
        await runner.cleanup()
