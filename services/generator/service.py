"""Generator: passes a template through, or has a model or the recipes write the files; nothing leaves unchecked."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.generator import decide, prompts
from services.generator.settings import Settings
from services.generator.story import Story
from shared.adapters.blobs import BlobStore
from shared.adapters.llm import connect_model
from shared.ci.lint import check, errors
from shared.errors import Reject, Retry
from shared.events import Files, FilesGenerated, RunFailed, TemplateResolved
from shared.progress import progress_of
from shared.recipes import Runner, render
from shared.recipes.renderer import ORDINARY
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.events import Origin
    from shared.ports import Blobs, Model


@dataclass(frozen=True)
class Deps:
    """The model (None: the recipes write), the registry, the runner, and how patient to be with the model.

    `budget` is what a model is shown of a repository, in characters; `bus` hears of its progress.
    """

    model: Model | None
    registry: str
    runner: Runner = ORDINARY
    repair_rounds: int = 3
    fallback: bool = True
    budget: int = 40_000
    bus: Bus | None = None
    blobs: Blobs | None = None


@asynccontextmanager
async def connect(settings: Settings, bus: Bus | None) -> AsyncIterator[Deps]:
    """The provider that LLM_PROVIDER names."""
    async with connect_model(settings) as model:
        yield Deps(
            model,
            settings.nexus_registry,
            Runner(settings.image_builder, settings.runner_privileged, settings.air_gapped, settings.names),
            settings.llm_repair_rounds,
            settings.llm_fallback == "rules",
            settings.llm_repository_budget,
            bus,
            BlobStore(bus) if bus else None,
        )


async def generate(event: TemplateResolved, deps: Deps) -> FilesGenerated | RunFailed:
    """The files of this repository, with what really wrote them."""
    story = Story()
    if event.decision == "chromadb-direct":
        direct = _direct(event, deps, story)
        if direct is not None:
            return decide.generated(event, direct, "template", story)
    if deps.model is not None:
        written = await _written(event, deps, deps.model, story)
        if written is not None:
            origin: Origin = "template+model" if event.template else "model"
            return decide.generated(event, written, origin, story, model=deps.model.name)
    return _by_rules(event, deps, story)


def _direct(event: TemplateResolved, deps: Deps, story: Story) -> Files | None:
    """The template's files where they still pass the checks; else None, with a note."""
    files = decide.from_template(event, deps.registry)
    if files is None:
        return None
    findings = errors(check(files, registry=deps.registry))
    if not findings:
        return files
    story.notes.append("the template does not pass the checks any more: " + "; ".join(decide.said(findings)[:3]))
    return None


async def _written(event: TemplateResolved, deps: Deps, model: Model, story: Story) -> Files | None:
    """What the model wrote, once it passes the checks; None where it never does, or does not answer."""
    contents = await _contents(event, deps)
    request = prompts.request(event, deps.registry, deps.runner, contents, budget=deps.budget)
    complaints: list[str] = []
    for _ in range(deps.repair_rounds + 1):
        prompt = prompts.again(request, complaints) if complaints else request
        began = time.monotonic()
        try:
            progress = progress_of(deps.bus, event.run_id, "generator", model.name)
            answer = await model.complete(prompts.SYSTEM, prompt, decide.ANSWER_SCHEMA, progress)
        except (Retry, Reject) as error:
            story.rounds.append(decide.away(model.name, error.reason, time.monotonic() - began))
            _unavailable(event, deps, error, story)
            return None
        files, complaints = decide.judged(answer.text, deps.registry)
        story.rounds.append(decide.answered(answer, complaints, time.monotonic() - began))
        if files and not complaints:
            return files
    return None


async def _contents(event: TemplateResolved, deps: Deps) -> dict[str, str]:
    """The files that the analyzer kept for the model; none where they are gone from the store."""
    if event.contents is None or deps.blobs is None:
        return {}
    try:
        return decide.contents_of(await deps.blobs.get(event.contents))
    except Reject:
        return {}


def _unavailable(event: TemplateResolved, deps: Deps, error: Retry | Reject, story: Story) -> None:
    """Go on by the recipes where they can; else the error stands."""
    if not deps.fallback or render(event.analysis, registry=deps.registry, runner=deps.runner) is None:
        raise error
    story.notes.append(f"the model gave no answer: {error.reason}")


def _by_rules(event: TemplateResolved, deps: Deps, story: Story) -> FilesGenerated | RunFailed:
    """The recipe's files; RunFailed where there is no recipe, or the fallback is switched off."""
    files = render(event.analysis, registry=deps.registry, runner=deps.runner)
    if files is None or (deps.model is not None and not deps.fallback):
        return decide.failed(event, story)
    findings = errors(check(files, registry=deps.registry))
    if findings:
        story.notes += decide.said(findings)
        return decide.failed(event, story)
    return decide.generated(event, files, "rules", story)


service = Service("generator", Settings, connect, {TemplateResolved: generate})
