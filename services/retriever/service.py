"""Retriever: queries the template store, ranks, decides between the three paths."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.retriever import decide
from services.retriever.settings import Settings
from shared.adapters.templates import ChromaTemplates
from shared.events import RepoAnalyzed, TemplateResolved
from shared.logging import logger
from shared.recipes.entries import COLLECTION, PREFIX, entries
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.ports import TemplateStore

log = logger("retriever")


@dataclass(frozen=True)
class Deps:
    """The template store and how many candidates to name."""

    templates: TemplateStore
    candidates: int
    bootstrap: Bootstrap | None = None


@dataclass
class Bootstrap:
    """Brings the recipes into the store, once in the life of a process and not before Chroma answers."""

    done: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ensure(self, templates: TemplateStore) -> None:
        """The recipes are in the store, those of an older library are not. Retry where Chroma does not answer."""
        async with self.lock:
            if not self.done:
                recipes = await asyncio.to_thread(lambda: list(entries()))
                new = await templates.replace(COLLECTION, PREFIX, recipes)
                log.info("the recipes are in the template store", recipes=len(recipes), new=new)
                self.done = True


@asynccontextmanager
async def connect(settings: Settings, _bus: Bus) -> AsyncIterator[Deps]:
    """A client of Chroma."""
    bootstrap = Bootstrap() if settings.retriever_bootstrap else None
    async with ChromaTemplates.connect(settings) as templates:
        yield Deps(templates, settings.retriever_candidates, bootstrap)


async def retrieve(event: RepoAnalyzed, deps: Deps) -> TemplateResolved:
    """The path for this repository."""
    if deps.bootstrap:
        await deps.bootstrap.ensure(deps.templates)
    found = await deps.templates.find(decide.wanted(event.analysis))
    return decide.resolve(event, found, keep=deps.candidates)


service = Service("retriever", Settings, connect, {RepoAnalyzed: retrieve})
