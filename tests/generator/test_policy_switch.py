"""What the checker is told by settings and by the analysis reaches every answer of a model."""

from __future__ import annotations

import json
from dataclasses import replace

from services.generator.service import Deps, connect, generate
from services.generator.settings import Settings
from shared.events import Files, FilesGenerated, TemplateResolved, new_run_id
from shared.recipes import render
from tests.facts import FLASK, SUBMISSION
from tests.fakes.model import FakeModel

REGISTRY = "registry.example:5000"
KNOWN = FLASK.model_copy(update={"manifests": ("requirements.txt",)})
EVENT = TemplateResolved(run_id=new_run_id(), submission=SUBMISSION, analysis=KNOWN, decision="llm-generated")


def answered(files: Files) -> FakeModel:
    """A model that answers with these files."""
    return FakeModel(json.dumps({"pipeline": files.pipeline, "dockerfile": files.dockerfile}))


def recipe() -> Files:
    """Files that pass every check."""
    files = render(FLASK, registry=REGISTRY)
    assert files is not None
    return files


async def origin(model: FakeModel, deps: Deps) -> str:
    """Who wrote the files in the end."""
    result = await generate(EVENT, replace(deps, model=model, registry=REGISTRY, repair_rounds=0))
    assert isinstance(result, FilesGenerated)
    return result.proposal.origin


async def test_a_rule_that_is_switched_off_refuses_no_answer() -> None:
    """POLICY_DISABLED reaches the generator: the same answer is refused with the rule and taken without it."""
    files = recipe()
    including = answered(files.model_copy(update={"pipeline": f"include: /ci/extra.yml\n{files.pipeline}"}))
    async with connect(Settings(llm_provider="rules"), None) as strict:
        assert await origin(including, strict) == "rules"
    async with connect(Settings(llm_provider="rules", policy_disabled="policy-include"), None) as loose:
        assert await origin(including, loose) == "model"


async def test_an_answer_that_copies_what_the_repository_has_not_is_refused() -> None:
    """The Dockerfile is held against the analysis: a manifest that is not listed is not there."""
    files = recipe()
    copying = answered(files.model_copy(update={"dockerfile": f"{files.dockerfile}COPY Pipfile /app/\n"}))
    async with connect(Settings(llm_provider="rules"), None) as deps:
        assert await origin(copying, deps) == "rules"
