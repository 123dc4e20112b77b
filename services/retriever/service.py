"""Retriever: queries the template store, ranks, decides between the three paths."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from services.retriever import decide
from services.retriever.settings import Settings
from services.retriever.standing import READS, Standings
from shared.adapters.templates import ChromaTemplates
from shared.ci.private_names import RULES
from shared.ending import over
from shared.events import RepoAnalyzed, TemplateResolved
from shared.logging import logger
from shared.recipes.entries import COLLECTION, PREFIX, entries
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.ci.private_names import NameRule
    from shared.ports import TemplateStore

log = logger("retriever")


@dataclass(frozen=True)
class Deps:
    """The template store, how many candidates to name, the recipes that belong into it, and how templates fared."""

    templates: TemplateStore
    candidates: int
    bootstrap: Bootstrap | None = None
    standings: Standings = field(default_factory=Standings)


@dataclass
class Bootstrap:
    """Brings the recipes into the store, not before Chroma answers, and again where they are gone."""

    names: tuple[NameRule, ...] = RULES
    done: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ensure(self, templates: TemplateStore, *, again: bool = False) -> bool:
        """Whether something was brought; the recipes of an older library leave. Retry where Chroma does not answer."""
        async with self.lock:
            if self.done and not again:
                return False
            recipes = await asyncio.to_thread(lambda: list(entries(self.names)))
            new = await templates.replace(COLLECTION, PREFIX, recipes)
            log.info("the recipes are in the template store", recipes=len(recipes), new=new)
            self.done = True
            return new > 0


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """A client of Chroma, and the standings as the log tells them until now and from now on."""
    bootstrap = Bootstrap(settings.names) if settings.retriever_bootstrap else None
    standings = Standings()
    since = datetime.now(UTC) - timedelta(days=settings.retriever_standing_days)
    listening = asyncio.create_task(_listen(bus, standings, since))
    try:
        async with ChromaTemplates.connect(settings) as templates:
            yield Deps(templates, settings.retriever_candidates, bootstrap, standings)
    finally:
        await over(listening)


async def _listen(bus: Bus, standings: Standings, since: datetime) -> None:
    async with aclosing(bus.tail(types=READS, since=since)) as events:
        async for recorded in events:
            if not recorded.imported:  # it was another machine's templates that passed or failed
                standings.tell(recorded.event)


async def retrieve(event: RepoAnalyzed, deps: Deps) -> TemplateResolved:
    """The path for this repository, with the template's files."""
    if deps.bootstrap:
        await deps.bootstrap.ensure(deps.templates)
    wanted = decide.wanted(event.analysis)
    found = await deps.templates.find(wanted)
    if not found and deps.bootstrap and await deps.bootstrap.ensure(deps.templates, again=True):
        # Chroma was wiped meanwhile.
        found = await deps.templates.find(wanted)
    failing = deps.standings.failing()
    while True:
        resolved = decide.resolve(event, found, keep=deps.candidates, failing=failing)
        if resolved.template is None:
            return resolved
        whole = await deps.templates.get(resolved.template.id, resolved.template.collection)
        if whole is not None:
            return resolved.model_copy(update={"template": whole})
        # Somebody removed it since it was found.
        found = [template for template in found if template.id != resolved.template.id]


service = Service("retriever", Settings, connect, {RepoAnalyzed: retrieve})
