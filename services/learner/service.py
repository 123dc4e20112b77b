"""Learner: stores the proven files in ChromaDB."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.learner import decide
from services.learner.settings import Settings
from shared.adapters.templates import ChromaTemplates
from shared.errors import Reject
from shared.events import PipelinePassed, TemplateStored
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.ports import TemplateStore


@dataclass(frozen=True)
class Deps:
    """The template store."""

    templates: TemplateStore


@asynccontextmanager
async def connect(settings: Settings, _bus: Bus) -> AsyncIterator[Deps]:
    """A client of Chroma."""
    async with ChromaTemplates.connect(settings) as templates:
        yield Deps(templates)


async def learn(event: PipelinePassed, deps: Deps) -> TemplateStored:
    """Keep the files by their content: the same files are stored once, however often they pass.

    Reject where the event itself shows a gate that is shut: what is not proven never becomes a template.
    """
    if reasons := decide.unproven(event):
        raise Reject("the gate is shut, nothing is learned", evidence="\n".join(reasons))
    template = decide.template_of(event)
    template = decide.remembering(template, await deps.templates.get(template.id))
    new = await deps.templates.put(template)
    return decide.stored(event, template, new=new)


service = Service("learner", Settings, connect, {PipelinePassed: learn})
