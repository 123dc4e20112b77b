"""The model providers behind one port."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from shared.adapters.llm.claude_code import ClaudeCode
from shared.adapters.llm.guarded import Guarded
from shared.adapters.llm.ollama import Ollama
from shared.adapters.llm.openai import OpenAI
from shared.errors import Reject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.ports import Model
    from shared.settings import ModelSettings

PROVIDERS = ("ollama", "claude-code", "openai", "rules")


@asynccontextmanager
async def connect_model(settings: ModelSettings) -> AsyncIterator[Model | None]:
    """The model that LLM_PROVIDER names; None for `rules`. Reject where there is no such provider."""
    async with AsyncExitStack() as stack:
        model: Model | None = None
        if settings.llm_provider == "ollama":
            model = await stack.enter_async_context(Ollama.connect(settings))
        elif settings.llm_provider == "openai":
            model = await stack.enter_async_context(OpenAI.connect(settings))
        elif settings.llm_provider == "claude-code":
            model = ClaudeCode(settings)
        elif settings.llm_provider != "rules":
            raise Reject(f"LLM_PROVIDER is {settings.llm_provider!r}; it is one of {', '.join(PROVIDERS)}")
        yield Guarded(model, settings) if model else None
