"""Generator: passes a template through, or has a model or the recipes write the files; nothing leaves unchecked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from services.generator import decide, prompts
from services.generator.settings import Settings
from services.generator.story import Story
from shared.adapters.blobs import BlobStore
from shared.adapters.llm import connect_model
from shared.asking import ask
from shared.ci.lint import check, errors
from shared.errors import Reject, Retry
from shared.events import Files, FilesGenerated, RunFailed, TemplateResolved
from shared.progress import progress_of
from shared.recipes import Runner, render
from shared.recipes.renderer import ORDINARY
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.bus import Bus
    from shared.ci.finding import Finding
    from shared.events import Analysis, Origin
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
    disabled: frozenset[str] = frozenset()

    def wrong(self, files: Files, analysis: Analysis) -> tuple[Finding, ...]:
        """The errors that the checker finds in files for this repository."""
        return errors(check(files, registry=self.registry, analysis=analysis, disabled=self.disabled))


@asynccontextmanager
async def connect(settings: Settings, bus: Bus | None) -> AsyncIterator[Deps]:
    """The provider that LLM_PROVIDER names."""
    async with connect_model(settings) as model:
        yield Deps(
            model,
            settings.nexus_registry,
            _runner(settings),
            settings.llm_repair_rounds,
            settings.llm_fallback == "rules",
            settings.llm_repository_budget,
            bus,
            BlobStore(bus) if bus else None,
            settings.disabled_rules,
        )


def _runner(settings: Settings) -> Runner:
    return Runner(
        settings.image_builder,
        privileged=settings.runner_privileged,
        air_gapped=settings.air_gapped,
        names=settings.names,
        insecure=settings.registry_insecure,
    )


async def generate(event: TemplateResolved, deps: Deps) -> FilesGenerated | RunFailed:
    """The files of this repository, with what really wrote them."""
    return await write(event, deps, await _contents(event, deps))


async def write(event: TemplateResolved, deps: Deps, contents: Mapping[str, str]) -> FilesGenerated | RunFailed:
    """The files, where a model may be shown these of the repository's own (path → text, the most telling first)."""
    story, wanted = Story(), event.submission.builder or deps.runner.builder
    if wanted != deps.runner.builder:
        # The templates here build with the installation's own builder: what is written new has the one asked for.
        deps = replace(deps, runner=replace(deps.runner, builder=wanted))
        story.notes.append(f"the submission asks for the builder {wanted}")
    elif event.decision == "chromadb-direct":
        direct = _direct(event, deps, story)
        if direct is not None:
            return decide.generated(event, direct, "template", story)
    if deps.model is not None:
        written = await _written(event, deps, deps.model, contents, story)
        if written is not None:
            origin: Origin = "template+model" if event.template else "model"
            return decide.generated(event, written, origin, story, model=deps.model.name)
    return _by_rules(event, deps, story)


def _direct(event: TemplateResolved, deps: Deps, story: Story) -> Files | None:
    """The template's files where they still pass the checks; else None, with a note."""
    files = decide.from_template(event, deps.registry)
    if files is None:
        return None
    findings = deps.wrong(files, event.analysis)
    if not findings:
        return files
    story.notes.append("the template does not pass the checks any more: " + "; ".join(map(str, findings[:3])))
    return None


async def _written(
    event: TemplateResolved, deps: Deps, model: Model, contents: Mapping[str, str], story: Story
) -> Files | None:
    """What the model wrote, once it passes the checks; None where it never does, or does not answer."""
    request = prompts.request(event, deps.registry, deps.runner, contents, budget=deps.budget)
    wrong = partial(deps.wrong, analysis=event.analysis)
    asked = await ask(
        model,
        prompts.question(request, event.attempt, decide.ANSWER_SCHEMA),
        lambda answer: decide.judged(answer.text, wrong),
        repairs=deps.repair_rounds,
        progress=progress_of(deps.bus, event.run_id, "generator", model.name),
    )
    story.rounds += asked.rounds
    if asked.away:
        _unavailable(event, deps, asked.away, story)
    return asked.value


async def _contents(event: TemplateResolved, deps: Deps) -> dict[str, str]:
    """The files that the analyzer kept for a model; none where nobody looks at them, or they are gone."""
    if deps.model is None or event.contents is None or deps.blobs is None:
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
    findings = deps.wrong(files, event.analysis)
    if findings:
        story.notes += decide.said(findings, files)
        return decide.failed(event, story)
    return decide.generated(event, files, "rules", story)


service = Service("generator", Settings, connect, {TemplateResolved: generate})
