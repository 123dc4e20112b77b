"""Analyzer: reads the repository and says what it is."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from services.analyzer import decide, detect, excerpts
from services.analyzer.settings import Settings
from shared.adapters.blobs import BlobStore
from shared.adapters.git import GitSource
from shared.errors import Reject, Retry
from shared.events import RepoAnalyzed, RepoSubmitted, RunFailed, Submission
from shared.questions import ANALYSIS, Look, Seen
from shared.service import Service
from shared.settings import plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.ports import Blobs, Source

# Dry runs that one analyzer makes at once, beside its deliveries.
LOOKS_AT_ONCE = 2


@dataclass(frozen=True)
class Deps:
    """Where repositories come from, and where the files go that a model may be shown."""

    source: Source
    blobs: Blobs


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """Repositories through git, with the policy of the settings; who only wants to know what one is, is answered."""
    source, turns = GitSource(settings, settings, excerpts.is_read, detect.is_source), asyncio.Semaphore(LOOKS_AT_ONCE)
    async with bus.answering(ANALYSIS, "analyzer", partial(look, source=source, turns=turns)):
        yield Deps(source, BlobStore(bus))


async def look(asked: dict[str, Any], *, source: Source, turns: asyncio.Semaphore) -> dict[str, Any]:
    """A `Seen`, for a `Look`: the same clone with the same limits as a run's, and nothing is kept."""
    question = Look.model_validate(asked)
    if turns.locked():
        return Seen(refusal="the analyzer looks at other repositories now", busy=True).model_dump(mode="json")
    async with turns:
        seen = await _seen(question, source)
    return seen.model_dump(mode="json")


async def _seen(question: Look, source: Source) -> Seen:
    try:
        submission = Submission(repo_url=question.repo_url, ref=question.ref, subfolder=question.subfolder)
        snapshot = await source.read(submission.repo_url, submission.ref)
    except ValidationError as error:
        return Seen(refusal="; ".join(plain(problem["msg"]) for problem in error.errors()))
    except (Retry, Reject) as error:
        return Seen(refusal=error.reason, busy=isinstance(error, Retry))
    answer = decide.decide(RepoSubmitted(run_id="look", **submission.model_dump()), snapshot)
    if isinstance(answer, RunFailed):
        return Seen(commit_sha=snapshot.commit_sha, refusal=answer.reason)
    return Seen(commit_sha=answer.commit_sha, analysis=answer.analysis)


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
