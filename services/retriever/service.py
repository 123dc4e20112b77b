"""Retriever: queries the template store, ranks, decides between the three paths."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.retriever import decide
from services.retriever.settings import Settings
from shared.adapters.templates import ChromaTemplates
from shared.events import RepoAnalyzed, TemplateResolved
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.ports import TemplateStore


@dataclass(frozen=True)
class Deps:
    """The template store and how many candidates to name."""

    templates: TemplateStore
    candidates: int


@asynccontextmanager
async def connect(settings: Settings, _bus: Bus) -> AsyncIterator[Deps]:
    """A client of Chroma."""
    async with ChromaTemplates.connect(settings) as templates:
        yield Deps(templates, settings.retriever_candidates)


async def retrieve(event: RepoAnalyzed, deps: Deps) -> TemplateResolved:
    """The path for this repository."""
    found = await deps.templates.find(decide.wanted(event.analysis))
    return decide.resolve(event, found, keep=deps.candidates)


service = Service("retriever", Settings, connect, {RepoAnalyzed: retrieve})
