"""Generator: passes a template through, or has a model or the recipes write the files; nothing leaves unchecked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from services.generator import decide
from services.generator.settings import Settings
from shared.adapters.llm import connect_model
from shared.ci.lint import check, errors
from shared.errors import Reject, Retry
from shared.events import Files, FilesGenerated, RunFailed, TemplateResolved
from shared.recipes import Runner, render
from shared.recipes.renderer import ORDINARY
from shared.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.bus import Bus
    from shared.events import Origin
    from shared.ports import Model

PROMPTS = Path(__file__).parent / "prompts"
_prompts = jinja2.Environment(loader=jinja2.FileSystemLoader(PROMPTS), autoescape=False)  # noqa: S701 - plain text


@dataclass(frozen=True)
class Deps:
    """The model (None: the recipes write), the registry, the runner, and how patient to be with the model."""

    model: Model | None
    registry: str
    runner: Runner = ORDINARY
    repair_rounds: int = 3
    fallback: bool = True


@dataclass
class Story:
    """What was tried, as notes for the event."""

    notes: list[str] = field(default_factory=list)


@asynccontextmanager
async def connect(settings: Settings, _bus: Bus) -> AsyncIterator[Deps]:
    """The provider that LLM_PROVIDER names."""
    async with connect_model(settings) as model:
        yield Deps(
            model,
            settings.nexus_registry,
            Runner(settings.image_builder, privileged=settings.runner_privileged, air_gapped=settings.air_gapped),
            settings.llm_repair_rounds,
            settings.llm_fallback == "rules",
        )


async def generate(event: TemplateResolved, deps: Deps) -> FilesGenerated | RunFailed:
    """The files of this repository, with what really wrote them."""
    story = Story()
    if event.decision == "chromadb-direct":
        direct = _direct(event, deps, story)
        if direct is not None:
            return decide.generated(event, direct, "template", model=None, notes=story.notes)
    if deps.model is not None:
        written = await _written(event, deps, deps.model, story)
        if written is not None:
            origin: Origin = "template+model" if event.template else "model"
            return decide.generated(event, written, origin, model=deps.model.name, notes=story.notes)
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
    system = (PROMPTS / "pipeline_system_prompt.txt").read_text()
    story.notes.append(f"prompt {system.splitlines()[0]}")
    request = _prompts.get_template("write.j2").render(
        registry=deps.registry,
        runner=deps.runner,
        analysis=decide.facts(event),
        template=event.template,
        reasons=event.reasons,
    )
    prompt = request
    for attempt in range(deps.repair_rounds + 1):
        try:
            answer = await model.complete(system, prompt, decide.ANSWER_SCHEMA)
            files = decide.read_answer(answer.text)
        except decide.Unusable as unusable:
            complaints = [str(unusable)]
        except (Retry, Reject) as error:
            _unavailable(event, deps, error, story)
            return None
        else:
            complaints = decide.said(errors(check(files, registry=deps.registry)))
            if not complaints:
                return files
        story.notes.append(f"answer {attempt + 1} refused: {'; '.join(complaints[:3])}")
        prompt = _prompts.get_template("findings.j2").render(request=request, findings=complaints)
    return None


def _unavailable(event: TemplateResolved, deps: Deps, error: Retry | Reject, story: Story) -> None:
    """Go on by the recipes where they can; else the error stands."""
    if not deps.fallback or render(event.analysis, registry=deps.registry, runner=deps.runner) is None:
        raise error
    story.notes.append(f"the model gave no answer: {error.reason}")


def _by_rules(event: TemplateResolved, deps: Deps, story: Story) -> FilesGenerated | RunFailed:
    """The recipe's files; RunFailed where there is no recipe, or the fallback is switched off."""
    files = render(event.analysis, registry=deps.registry, runner=deps.runner)
    if files is None or (deps.model is not None and not deps.fallback):
        return decide.failed(event, story.notes)
    findings = errors(check(files, registry=deps.registry))
    if findings:
        return decide.failed(event, [*story.notes, *decide.said(findings)])
    return decide.generated(event, files, "rules", model=None, notes=story.notes)


service = Service("generator", Settings, connect, {TemplateResolved: generate})
