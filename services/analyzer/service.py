"""Analyzer: reads the repository and says what it is."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.analyzer import decide, detect
from services.analyzer.settings import Settings
from shared.adapters.git import GitSource
from shared.errors import Reject
from shared.events import RepoAnalyzed, RepoSubmitted, RunFailed
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.ports import Source


@dataclass(frozen=True)
class Deps:
    """Where repositories come from."""

    source: Source


@asynccontextmanager
async def connect(settings: Settings, _bus: Bus) -> AsyncIterator[Deps]:
    """Repositories through git, with the policy of the settings."""
    yield Deps(GitSource(settings, settings, detect.is_manifest, detect.is_source))


async def analyze(event: RepoSubmitted, deps: Deps) -> RepoAnalyzed | RunFailed:
    """The analysis. What the repository or its address is to blame for ends the run with the reason."""
    try:
        snapshot = await deps.source.read(event.repo_url, event.ref)
    except Reject as refusal:
        return decide.failed(event, refusal.reason, refusal.evidence)
    return decide.decide(event, snapshot)


service = Service("analyzer", Settings, connect, {RepoSubmitted: analyze})
