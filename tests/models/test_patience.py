"""A model that asks for patience gets it, and one that is down is left alone for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from services.generator.decide import ANSWER_SCHEMA
from shared.adapters.llm.guarded import Guarded
from shared.errors import Reject, Retry
from shared.ports import Completion, Progress, unheard
from shared.settings import ModelSettings
from tests.fakes.model import FakeModel

DOWN = Retry("connection refused")


def guarded(model: FakeModel, **changes: float) -> Guarded:
    """The guard over this model."""
    return Guarded(model, ModelSettings.model_validate({"llm_breaker_failures": 2, "llm_breaker_pause": 60, **changes}))


async def asked(model: Guarded) -> str:
    """What it answers."""
    return (await model.complete("system", "prompt", ANSWER_SCHEMA)).text


async def trying(model: Slow) -> tuple[Guarded, asyncio.Task[str]]:
    """A breaker that opened and whose pause is over, with the one who tries for all held at the model's gate."""
    breaker = guarded(model, llm_breaker_pause=0)
    for _ in range(2):
        with pytest.raises(Retry):
            await asked(breaker)
    model.gate.clear()
    first = asyncio.create_task(asked(breaker))
    await model.reached.wait()
    return breaker, first


async def test_a_busy_model_is_asked_again_after_what_it_says() -> None:
    """A short Retry-After is waited for, so often."""
    model = FakeModel(Retry("busy", after=0.01), Retry("busy", after=0.01), "an answer")
    assert await asked(guarded(model, llm_retries=2)) == "an answer"
    assert len(model.prompts) == 3


async def test_a_long_wait_is_not_waited_here() -> None:
    """The run goes on otherwise, and hears how long it would have been."""
    model = FakeModel(Retry("come back tomorrow", after=86_400))
    with pytest.raises(Retry) as raised:
        await asked(guarded(model))
    assert (raised.value.after, len(model.prompts)) == (86_400, 1)


async def test_a_model_that_is_down_is_left_alone() -> None:
    """After so many failures in a row nobody waits for its time limit any more."""
    model = FakeModel(DOWN, DOWN, "up again")
    breaker = guarded(model)
    for _ in range(2):
        with pytest.raises(Retry, match="connection refused"):
            await asked(breaker)
    with pytest.raises(Retry, match="failed 2 times in a row; it is left alone"):
        await asked(breaker)
    assert len(model.prompts) == 2


async def test_after_the_pause_one_tries_and_then_all_may() -> None:
    """The others are not held up behind the one that tries; an answer opens the way for all."""
    model = Slow(DOWN, DOWN, "up again")
    breaker, first = await trying(model)
    with pytest.raises(Retry, match="left alone"):
        await asked(breaker)
    model.gate.set()
    assert await first == "up again"
    assert await asked(breaker) == "up again"


async def test_a_refusal_is_no_outage() -> None:
    """A model that says no to one prompt answers the next ones."""
    model = FakeModel(Reject("too long"), Reject("too long"), Reject("too long"), "an answer")
    breaker = guarded(model)
    for _ in range(3):
        with pytest.raises(Reject):
            await asked(breaker)
    assert await asked(breaker) == "an answer"


async def test_one_that_is_cancelled_while_it_tries_keeps_nobody_out() -> None:
    """The next one may try."""
    model = Slow(DOWN, DOWN, "up again")
    breaker, first = await trying(model)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    model.gate.set()
    assert await asked(breaker) == "up again"


class Slow(FakeModel):
    """The fake, behind a gate."""

    def __init__(self, *answers: str | Retry) -> None:
        super().__init__(*answers)
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()

    async def complete(
        self, system: str, prompt: str, schema: Mapping[str, object], progress: Progress = unheard
    ) -> Completion:
        """The next answer, once the gate is open."""
        if not self.gate.is_set():
            self.reached.set()
        await self.gate.wait()
        return await super().complete(system, prompt, schema, progress)
