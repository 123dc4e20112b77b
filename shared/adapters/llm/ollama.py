"""Ollama over `/api/chat`, streaming. Its silent truncation is refused, its errors are told apart."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx

from shared.errors import Reject, Retry
from shared.ports import Completion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.settings import ModelSettings

CONNECT_SECONDS = 5.0
MAX_ANSWER = 1_000_000


class Ollama:
    """Implements `shared.ports.Model`. Use `Ollama.connect`."""

    def __init__(self, settings: ModelSettings, client: httpx.AsyncClient) -> None:
        """Over an open client."""
        self.name = settings.ollama_model
        self._url = settings.ollama_url
        self._timeout = settings.llm_timeout
        self._num_ctx = settings.ollama_num_ctx
        self._client = client

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: ModelSettings) -> AsyncIterator[Ollama]:
        """The model; nothing is asked before the first prompt. Reject where OLLAMA_URL is no address."""
        if not settings.ollama_url.startswith(("http://", "https://")):
            raise Reject(f"OLLAMA_URL is {settings.ollama_url!r}; it begins with http:// or https://")
        timeout = httpx.Timeout(settings.llm_timeout, connect=CONNECT_SECONDS)
        async with httpx.AsyncClient(base_url=settings.ollama_url, timeout=timeout) as client:
            yield cls(settings, client)

    async def complete(self, system: str, prompt: str, schema: Mapping[str, object]) -> Completion:
        """The whole answer. Raises Retry where the server is away, busy or slow, Reject where it cannot do it at all.

        The context size is asked for explicitly, and neither truncating nor shifting it is allowed: the default is
        4 k on small cards, and what does not fit would be cut off without a word.
        """
        body = {
            "model": self.name,
            "stream": True,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}],
            "format": schema,
            "options": {"num_ctx": self._num_ctx, "temperature": 0},
            "truncate": False,
            "shift": False,
        }
        try:
            async with asyncio.timeout(self._timeout):
                return await self._stream(body)
        except TimeoutError as error:
            raise Retry(f"{self.name} at {self._url} gave no answer within {self._timeout:.0f} s") from error
        except httpx.HTTPError as error:
            raise Retry(f"Ollama at {self._url} does not answer: {error or type(error).__name__}") from error

    async def _stream(self, body: dict[str, Any]) -> Completion:
        parts: list[str] = []
        size = 0
        async with self._client.stream("POST", "/api/chat", json=body) as answer:
            if answer.status_code != httpx.codes.OK:
                raise self._refusal(answer.status_code, await answer.aread())
            async for line in answer.aiter_lines():
                if not line.strip():
                    continue
                event, piece = self._read(line)
                parts.append(piece)
                size += len(piece)
                if size > MAX_ANSWER:
                    raise Reject(f"{self.name} does not stop: more than {MAX_ANSWER} characters")
                if event.get("done"):
                    return self._completion("".join(parts), event)
        raise Retry(f"Ollama at {self._url} closed the connection before the answer was complete")

    def _read(self, line: str) -> tuple[dict[str, Any], str]:
        """One line of the stream and the piece of text in it. An error in mid-stream comes under 200 as well."""
        try:
            event = json.loads(line)
            if "error" in event:
                raise Retry(f"Ollama broke off: {event['error']}")
            return event, "" + event.get("message", {}).get("content", "")
        except (ValueError, TypeError, AttributeError) as error:
            raise Retry(f"what answers at {self._url} does not speak Ollama's protocol: {line[:100]!r}") from error

    def _completion(self, text: str, last: dict[str, Any]) -> Completion:
        if last.get("done_reason") == "length":
            raise Reject(f"the answer of {self.name} was cut off at {self._num_ctx} tokens; raise OLLAMA_NUM_CTX")
        tokens = int(last.get("prompt_eval_count", 0)) + int(last.get("eval_count", 0))
        return Completion(text, self.name, tokens)

    def _refusal(self, status: int, body: bytes) -> Retry | Reject:
        try:
            words = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError):
            words = body.decode(errors="replace")[:200]
        if status == httpx.codes.NOT_FOUND:
            return Reject(
                f"Ollama at {self._url} has no model {self.name}; run: ollama pull {self.name}", evidence=words
            )
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.TOO_MANY_REQUESTS:
            return Retry(f"Ollama at {self._url} is busy ({status}): {words}")
        return Reject(f"Ollama refuses the request ({status}): {words}", evidence=words)
