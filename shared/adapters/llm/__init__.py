"""The model providers behind one port."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.adapters.llm.ollama import Ollama
from shared.errors import Reject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.ports import Model
    from shared.settings import ModelSettings


@asynccontextmanager
async def connect_model(settings: ModelSettings) -> AsyncIterator[Model | None]:
    """The model that LLM_PROVIDER names; None for `rules`. Reject where there is no such provider."""
    if settings.llm_provider == "rules":
        yield None
    elif settings.llm_provider == "ollama":
        async with Ollama.connect(settings) as model:
            yield model
    else:
        raise Reject(f"LLM_PROVIDER is {settings.llm_provider!r}; it is ollama or rules")
