"""Analyzer: reads the repository and says what it is."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.analyzer import decide, detect, excerpts
from services.analyzer.settings import Settings
from shared.adapters.blobs import BlobStore
from shared.adapters.git import GitSource
from shared.errors import Reject
from shared.events import RepoAnalyzed, RepoSubmitted, RunFailed
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.ports import Blobs, Source


@dataclass(frozen=True)
class Deps:
    """Where repositories come from, and where the files go that a model may be shown."""

    source: Source
    blobs: Blobs


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """Repositories through git, with the policy of the settings."""
    yield Deps(GitSource(settings, settings, excerpts.is_read, detect.is_source), BlobStore(bus))


async def analyze(event: RepoSubmitted, deps: Deps) -> RepoAnalyzed | RunFailed:
    """The analysis. What the repository or its address is to blame for ends the run with the reason."""
    try:
        snapshot = await deps.source.read(event.repo_url, event.ref)
    except Reject as refusal:
        return decide.failed(event, refusal.reason, refusal.evidence)
    answer = decide.decide(event, snapshot)
    if isinstance(answer, RunFailed):
        return answer
    shown = excerpts.excerpts(snapshot, answer.analysis)
    contents = await deps.blobs.put(json.dumps(shown, ensure_ascii=False).encode(errors="replace"))
    return answer.model_copy(update={"contents": contents})


service = Service("analyzer", Settings, connect, {RepoSubmitted: analyze})
