"""Ollama over `/api/chat`, streaming. Its silent truncation is refused, its errors are told apart."""

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


class Ollama:
    """Implements `shared.ports.Model`. Use `Ollama.connect`."""

    def __init__(self, settings: ModelSettings, server: http.Server) -> None:
        """Over an open client."""
        self.name = settings.ollama_model
        self._num_ctx = settings.ollama_num_ctx
        self._max_tokens = settings.llm_max_tokens
        self._server = server

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: ModelSettings) -> AsyncIterator[Ollama]:
        """The model; Reject where OLLAMA_URL is no address."""
        url, model = settings.ollama_url, settings.ollama_model
        async with http.connected("Ollama", "OLLAMA_URL", url, model, settings.llm_timeout) as server:
            yield cls(settings, server)

    async def complete(
        self, system: str, prompt: str, schema: Mapping[str, object], progress: Progress = unheard
    ) -> Completion:
        """The whole answer. Raises Retry where the server is away, busy or slow, Reject where it cannot do it at all.

        The context size is asked for explicitly, and neither truncating nor shifting it is allowed: the default is
        4 k on small cards, and what does not fit would be cut off without a word.
        """
        body = {
            "model": self.name,
            "stream": True,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}],
            "format": schema,
            "options": {"num_ctx": self._num_ctx, "num_predict": self._max_tokens, "temperature": 0},
            "truncate": False,
            "shift": False,
        }
        text, thoughts = http.Text(self._server), http.Text(self._server)
        async with http.asked(self._server, "/api/chat", body) as lines:
            async for line in lines:
                if not line.strip():
                    continue
                event = http.read(self._server, line)
                text.add(self._piece(event, line, "content"))
                thoughts.add(self._piece(event, line, "thinking"))
                await progress(text.pieces + thoughts.pieces)
                if event.get("done"):
                    return self._completion(str(text), event)
        raise http.broken_off(self._server)

    def _piece(self, event: dict[str, Any], line: str, kind: str) -> str:
        """The text of that kind in one line of the stream."""
        message = event.get("message", {})
        piece = message.get(kind, "") if isinstance(message, dict) else None
        if not isinstance(piece, str):
            raise http.foreign(self._server, line)
        return piece

    def _completion(self, text: str, last: dict[str, Any]) -> Completion:
        if last.get("done_reason") == "length":
            raise Reject(
                f"the answer of {self.name} was cut off: OLLAMA_NUM_CTX is {self._num_ctx} tokens for all of it, "
                f"LLM_MAX_TOKENS {self._max_tokens} for the answer; raise the one that it reached"
            )
        return Completion(text, self.name, int(last.get("prompt_eval_count", 0)), int(last.get("eval_count", 0)))
