"""A real language model, far too small for the work: whatever it says, what leaves is valid and says who wrote it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.generator.service import Deps, generate
from shared.adapters.llm import connect_model
from shared.ci.lint import check, errors
from shared.errors import Reject
from shared.events import FilesGenerated, TemplateResolved, new_run_id
from shared.ports import Model
from shared.settings import ModelSettings
from tests.facts import FLASK, SUBMISSION
from tests.models.ollama import NAME, ollama

REGISTRY = "registry.example:5000"
SHORT: dict[str, Any] = {"type": "string", "maxLength": 12}
SCHEMA = {"type": "object", "properties": {"pipeline": SHORT, "dockerfile": SHORT}, "required": ["pipeline"]}


@asynccontextmanager
async def connected(provider: str, engine: str, **changes: Any) -> AsyncIterator[Model]:
    """The provider over the real model."""
    chosen: dict[str, Any] = {"llm_provider": provider, "llm_max_tokens": 80, "llm_timeout": 120, **changes}
    chosen |= {"openai_url": engine, "openai_model": "smollm2"}
    async with ollama(engine) as url, connect_model(ModelSettings(ollama_url=url, **chosen)) as model:
        assert model is not None
        yield model


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_the_schema_reaches_the_model(engine: str, provider: str) -> None:
    """The answer is JSON of the form that was asked for, with the tokens that it took."""
    async with connected(provider, engine) as model:
        completion = await model.complete("You write one short word a field.", "A pipeline, please.", SCHEMA)
    assert "pipeline" in json.loads(completion.text)
    assert completion.prompt_tokens > 0
    assert 0 < completion.answer_tokens <= 80


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_nonsense_ends_in_a_valid_pipeline(engine: str, provider: str) -> None:
    """The handler with the real model: what it writes is refused or cut off, the recipes write, the tag says so."""
    event = TemplateResolved(
        run_id=new_run_id(), submission=SUBMISSION, analysis=FLASK, decision="llm-generated", reasons=()
    )
    async with connected(provider, engine) as model:
        answer = await generate(event, Deps(model, REGISTRY, repair_rounds=0, budget=0))
    assert isinstance(answer, FilesGenerated)
    assert (answer.proposal.origin, answer.proposal.tag) == ("rules", "[Rule Based]")
    assert errors(check(answer.proposal.files, registry=REGISTRY)) == ()
    assert {one.outcome for one in answer.proposal.rounds} <= {"refused", "away"}
    assert answer.proposal.rounds


async def test_what_does_not_fit_into_the_context_is_refused(engine: str) -> None:
    """The server's own no, not an answer to half of the question."""
    async with connected("openai", engine) as model:
        with pytest.raises(Reject, match="context"):
            await model.complete("system", "word " * 20_000, SCHEMA)


async def test_a_model_that_is_not_there_is_named(engine: str) -> None:
    """And how to get it."""
    async with connected("ollama", engine, ollama_model="qwen3:32b") as model:
        with pytest.raises(Reject, match=r"no model qwen3:32b; run: ollama pull qwen3:32b"):
            await model.complete("system", "prompt", SCHEMA)
    assert NAME != "qwen3:32b"
