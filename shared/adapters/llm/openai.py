"""Any server that speaks OpenAI's `/chat/completions`: vLLM, llama.cpp, LM Studio, LiteLLM, the companies' own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from shared.adapters.llm import http
from shared.errors import Reject
from shared.ports import Completion, unheard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.ports import Progress
    from shared.settings import ModelSettings

DATA, END = "data:", "[DONE]"


class OpenAI:
    """Implements `shared.ports.Model`. Use `OpenAI.connect`."""

    def __init__(self, settings: ModelSettings, server: http.Server) -> None:
        """Over an open client."""
        self.name = settings.openai_model
        self._max_tokens = settings.llm_max_tokens
        self._server = server

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: ModelSettings) -> AsyncIterator[OpenAI]:
        """The model; Reject where OPENAI_URL is no address or OPENAI_MODEL is not set."""
        if not settings.openai_model:
            raise Reject("OPENAI_MODEL is not set; name the model that the server has")
        key = settings.openai_api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url, model = settings.openai_url.rstrip("/"), settings.openai_model
        kind = "The OpenAI-compatible server"
        async with http.connected(kind, "OPENAI_URL", url, model, settings.llm_timeout, headers) as server:
            yield cls(settings, server)

    async def complete(
        self, system: str, prompt: str, schema: Mapping[str, object], progress: Progress = unheard
    ) -> Completion:
        """The whole answer. Retry where the server is away, busy or slow, Reject where it cannot do it at all."""
        body = {
            "model": self.name,
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
            "max_tokens": self._max_tokens,
            "temperature": 0,
        }
        text, ended = http.Text(self._server), False
        usage: dict[str, Any] = {}
        async with http.asked(self._server, "/chat/completions", body) as lines:
            async for line in lines:
                said = line.removeprefix(DATA).strip()
                if not said or line.startswith(":"):
                    continue
                if said == END:
                    break
                event = http.read(self._server, said)
                usage = event.get("usage") or usage
                ended |= self._take(event, text)
                await progress(text.pieces)
        if not ended:
            raise http.broken_off(self._server)
        return Completion(
            str(text), self.name, int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
        )

    def _take(self, event: dict[str, Any], text: http.Text) -> bool:
        """Whether the answer is complete with this event, whose piece is in the text now."""
        choices = event.get("choices")
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise http.foreign(self._server, str(event))
        for choice in choices[:1]:
            piece = (choice.get("delta") or {}).get("content")
            text.add(piece if isinstance(piece, str) else "")
            if choice.get("finish_reason") == "length":
                raise Reject(f"the answer of {self.name} was cut off at {text.pieces} tokens; raise LLM_MAX_TOKENS")
            if choice.get("finish_reason"):
                return True
        return False
