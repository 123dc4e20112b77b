"""Healer: classifies a failed pipeline and makes the smallest repair, or says what a person should do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.healer import decide, model
from services.healer.classify import Diagnosis, root_cause
from services.healer.failure import Failure, Surroundings, Tags
from services.healer.settings import Settings
from services.healer.strategies import image_not_found
from services.healer.strategies.order import images_for
from shared.adapters.blobs import BlobStore
from shared.adapters.llm import connect_model
from shared.adapters.registry import RegistryClient
from shared.adapters.sources import SourceClients
from shared.asking import ask
from shared.ci.images import RULES, NameRule, parse, source_name
from shared.ci.region import lines_of
from shared.errors import Reject, Retry
from shared.events import FilesGenerated, Image, PipelineFailed, RunFailed
from shared.progress import progress_of
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from services.healer.strategies.fix import Fix
    from shared.bus import Bus
    from shared.events import Round
    from shared.ports import Blobs, Completion, Model, Registry

# The cause is in the earliest failed jobs; a pipeline of hundreds is not read whole.
TRACES_LIMIT = 20
SUSPECTS_LIMIT = 10


@dataclass(frozen=True)
class Deps:
    """Traces, the private registry, the tags at a source, the model (None: rules alone), and the limits.

    With `wait_for_model` a model that is away holds the run; else the run goes on as if there were none.
    `bus` hears of its progress.
    """

    blobs: Blobs
    registry: Registry
    source_tags: Callable[[str], Awaitable[tuple[str, ...]]]
    private: str
    air_gapped: bool = False
    names: tuple[NameRule, ...] = RULES
    model: Model | None = None
    model_rounds: int = 3
    wait_for_model: bool = False
    attempts: int = 10
    bus: Bus | None = None
    disabled: frozenset[str] = frozenset()


@asynccontextmanager
async def connect(settings: Settings, bus: Bus) -> AsyncIterator[Deps]:
    """The registry and the model, each asked for the first time by a delivery."""
    async with (
        RegistryClient.of(settings, timeout=settings.registry_timeout) as registry,
        SourceClients(settings, timeout=settings.registry_timeout) as sources,
        connect_model(settings) as connected,
    ):
        yield Deps(
            blobs=BlobStore(bus),
            registry=registry,
            source_tags=sources.tags,
            private=settings.nexus_registry,
            air_gapped=settings.air_gapped,
            names=settings.names,
            model=connected,
            model_rounds=settings.llm_repair_rounds,
            wait_for_model=settings.llm_fallback == "none",
            attempts=settings.max_self_heal_attempts,
            bus=bus,
            disabled=settings.disabled_rules,
        )


async def heal(event: PipelineFailed, deps: Deps) -> FilesGenerated | RunFailed:
    """The next attempt with a repair, or the end of the run with a report. Raises Retry where something is away."""
    over = decide.ended(event, decide.limit(event, deps.attempts))
    if over:
        return over
    traces = await _traces(event, deps.blobs)
    diagnosis = root_cause(event.pipeline, traces)
    report = decide.reported(event, diagnosis)
    if report:
        return report
    refusals: list[str] = []
    failure = await _failure(event, diagnosis, traces, deps)
    for fix in [*await _image_repairs(event, diagnosis, deps), *decide.from_rules(event, diagnosis, failure)]:
        refusal = decide.objection(event, diagnosis, fix, deps.private, deps.disabled)
        if refusal is None:
            return decide.repaired(event, diagnosis, fix)
        refusals.append(f"{fix.strategy}: {refusal}")
    region = "\n".join(failure.lines)
    proposed, rounds = await _from_model(event, diagnosis, region, deps, refusals)
    if proposed:
        return decide.repaired(event, diagnosis, proposed, rounds)
    return decide.given_up(event, diagnosis, refusals, rounds)


async def _traces(event: PipelineFailed, blobs: Blobs) -> dict[int, bytes]:
    """The traces of the failed jobs; one that is gone is judged by its excerpt."""
    wanted = [job for job in event.pipeline.jobs if job.status == "failed" and job.trace][:TRACES_LIMIT]
    found: dict[int, bytes] = {}
    for job in wanted:
        try:
            found[job.id] = await blobs.get(job.trace) if job.trace else b""
        except Reject:
            continue
    return found


async def _image_repairs(event: PipelineFailed, diagnosis: Diagnosis, deps: Deps) -> list[Fix]:
    if diagnosis.error_class != "image_not_found":
        return []
    suspects = image_not_found.suspects(event, diagnosis.evidence.text, diagnosis.job)[:SUSPECTS_LIMIT]
    known = await _known_tags(suspects, deps)
    # What cannot be read as an image has no tags to choose from.
    images = [image for image in suspects if image.target in known]
    fix = image_not_found.repair(event.proposal.files, images, known, deps.private)
    return [fix] if fix else []


async def _known_tags(images: Iterable[Image], deps: Deps) -> dict[str, Tags]:
    """The tags of each image in the private registry and at its source."""
    readable = [image for image in images if _readable(image)]
    found = await asyncio.gather(*(_tags(image, deps) for image in readable))
    return {image.target: tags for image, tags in zip(readable, found, strict=True)}


def _readable(image: Image) -> bool:
    try:
        parse(image.source)
        parse(image.target)
    except ValueError:
        return False
    return True


async def _tags(image: Image, deps: Deps) -> Tags:
    private = await deps.registry.tags(parse(image.target).repository)
    try:
        return Tags(private, await deps.source_tags(image.source))
    except (Retry, Reject):
        # Behind an air gap no source can ever be asked: that must not hold the run.
        return Tags(private, None)


async def _failure(event: PipelineFailed, diagnosis: Diagnosis, traces: dict[int, bytes], deps: Deps) -> Failure:
    """The failure with its log's lines, and the tags of the images that a repair may need."""
    job = next((j for j in event.pipeline.jobs if j.name == diagnosis.job and j.status == "failed"), None)
    trace = (traces.get(job.id) or job.excerpt) if job else event.pipeline.yaml_errors or ""
    where = Surroundings(deps.private, deps.air_gapped, deps.names)
    failure = decide.failure_of(event, diagnosis, lines_of(trace), where)
    named = {image.target: image for image in event.images}
    wanted = [named.get(target) or _image(target, deps) for target in images_for(failure)[:SUSPECTS_LIMIT]]
    return replace(failure, tags=await _known_tags(wanted, deps)) if wanted else failure


def _image(target: str, deps: Deps) -> Image:
    """An image of the private registry with its source, as the table of names has it."""
    return Image(source=source_name(target, deps.private, deps.names), target=target, state="present")


async def _from_model(
    event: PipelineFailed, diagnosis: Diagnosis, region: str, deps: Deps, refusals: list[str]
) -> tuple[Fix | None, tuple[Round, ...]]:
    """A model's repair that passed checker and guard, and every round; what was refused is told to the model."""
    if deps.model is None or not decide.model_may_try(event, diagnosis):
        return None, ()

    def judge(answer: Completion) -> tuple[Fix | None, list[str]]:
        fix = model.read(answer.text, answer.model, event.proposal.files)
        refusal = fix if isinstance(fix, str) else decide.objection(event, diagnosis, fix, deps.private, deps.disabled)
        return (None if isinstance(fix, str) else fix), ([refusal] if refusal else [])

    asked = await ask(
        deps.model,
        model.question(event, diagnosis, region),
        judge,
        repairs=deps.model_rounds,
        progress=progress_of(deps.bus, event.run_id, "healer", deps.model.name),
    )
    if deps.wait_for_model and isinstance(asked.away, Retry):
        raise asked.away
    refusals += [f"model: {finding}" for one in asked.rounds for finding in one.findings]
    return asked.value, asked.rounds


service = Service("healer", Settings, connect, {PipelineFailed: heal})
