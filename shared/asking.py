"""A question to a model, asked until an answer passes: what was wrong with the last one goes back with it."""

from __future__ import annotations

import itertools
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from shared.errors import Reject, Retry
from shared.events import Round
from shared.ports import unheard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from shared.ports import Completion, Model, Progress

T = TypeVar("T")
MAX_ANSWER = 200_000
# At so many braces the beginning of an object is looked for: each look may read the whole rest.
MAX_BEGINNINGS = 1_000
# An event stays small: of each round the first findings are kept, each cut.
FINDINGS_KEPT = 5
FINDING_LENGTH = 300


@dataclass(frozen=True)
class Refused:
    """The last answer, and why it was refused."""

    answer: str
    findings: Sequence[str]


@dataclass(frozen=True)
class Question:
    """What a model is asked, in which pass of the run; `text` makes the prompt, after a refusal with what was wrong."""

    phase: Literal["generator", "healer"]
    attempt: int
    version: str
    system: str
    schema: Mapping[str, object]
    text: Callable[[Refused | None], str]


@dataclass(frozen=True)
class Asked(Generic[T]):
    """What came of it: the value of the answer that passed, every round, and why the model gave no answer at all."""

    value: T | None
    rounds: tuple[Round, ...]
    away: Retry | Reject | None = None


async def ask(
    model: Model,
    question: Question,
    judge: Callable[[Completion], tuple[T | None, Sequence[str]]],
    *,
    repairs: int,
    progress: Progress = unheard,
) -> Asked[T]:
    """The first answer in which the judge finds nothing wrong, asked for once and then at most `repairs` times more."""
    rounds: list[Round] = []
    refused: Refused | None = None
    for _ in range(repairs + 1):
        began = time.monotonic()
        try:
            answer = await model.complete(question.system, question.text(refused), question.schema, progress)
        except (Retry, Reject) as error:
            rounds.append(_round(question, model.name, "away", [error.reason], time.monotonic() - began))
            return Asked(None, tuple(rounds), error)
        value, findings = judge(answer)
        outcome: Literal["accepted", "refused"] = "refused" if findings or value is None else "accepted"
        rounds.append(_round(question, answer.model, outcome, findings, time.monotonic() - began, answer))
        if outcome == "accepted":
            return Asked(value, tuple(rounds))
        refused = Refused(answer.text, findings)
    return Asked(None, tuple(rounds))


def object_in(text: str, keys: Collection[str]) -> dict[str, Any] | None:
    """The first JSON object of an answer that has all these keys; None where there is none.

    Fences, prose and braces around it, and control characters in its texts, are tolerated; of an answer of more than
    200,000 characters nothing is read.
    """
    decoder = json.JSONDecoder(strict=False)
    beginnings = (match.start() for match in re.finditer(r"\{", text[: MAX_ANSWER + 1]))
    for start in itertools.islice(beginnings, MAX_BEGINNINGS if len(text) <= MAX_ANSWER else 0):
        try:
            document, _ = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(document, dict) and set(keys) <= document.keys():
            return document
    return None


def _round(
    question: Question,
    model: str,
    outcome: Literal["accepted", "refused", "away"],
    findings: Sequence[str],
    seconds: float,
    answer: Completion | None = None,
) -> Round:
    return Round(
        phase=question.phase,
        attempt=question.attempt,
        model=model,
        prompt_version=question.version,
        outcome=outcome,
        findings=tuple(finding[:FINDING_LENGTH] for finding in findings[:FINDINGS_KEPT]),
        prompt_tokens=answer.prompt_tokens if answer else 0,
        answer_tokens=answer.answer_tokens if answer else 0,
        cost=answer.cost if answer else None,
        seconds=round(seconds, 3),
    )
