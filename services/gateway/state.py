"""What every handler of the API works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway.access import Access, Caller
from services.gateway.problems import Refused
from shared.events import RepoSubmitted

if TYPE_CHECKING:
    from services.gateway.feed import Feed
    from services.gateway.limits import Rate, Streams
    from services.gateway.metrics import Metrics
    from services.gateway.projector import Projector
    from services.gateway.settings import Settings
    from services.gateway.webhooks import Webhooks
    from shared.adapters.templates import ChromaTemplates
    from shared.bus import Bus, Recorded


@dataclass(frozen=True)
class Gateway:
    """One gateway: the log, its newest part in memory, the list of runs, the templates, and who may what."""

    settings: Settings
    bus: Bus
    feed: Feed
    runs: Projector
    templates: ChromaTemplates
    access: Access
    rate: Rate
    streams: Streams
    metrics: Metrics
    webhooks: Webhooks


GATEWAY = web.AppKey("gateway", Gateway)
CALLER = web.RequestKey("caller", Caller)


async def history(request: web.Request) -> list[Recorded]:
    """The events of the run in the path; Refused with 404 where there is no such run."""
    run_id = request.match_info["run_id"]
    records = await request.app[GATEWAY].bus.history(run_id) if _is_id(run_id) else []
    if not any(isinstance(recorded.event, RepoSubmitted) for recorded in records):
        raise Refused(404, f"there is no run {run_id[:40]!r}; GET /api/v1/runs lists them")
    return records


def _is_id(text: str) -> bool:
    """Whether the text may stand in a subject; any other could ask for more than one run."""
    return text.isascii() and text.isalnum()
