"""What a model is told. The texts stand beside; what a stranger wrote enters only as quoted data, within a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from shared.asking import Question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.asking import Refused
    from shared.events import TemplateResolved
    from shared.recipes import Runner

HERE = Path(__file__).parent
# The first line is the version of all these texts, which the event carries; the rest is the system prompt.
_VERSIONED = (HERE / "pipeline_system_prompt.txt").read_text()
VERSION = _VERSIONED.partition("\n")[0].removeprefix("version: ")
SYSTEM = _VERSIONED.partition("\n")[2]
FACTS = 20_000
# Of an answer that is given back to be mended.
ANSWER = 60_000
_texts = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE),
    autoescape=False,  # noqa: S701 - plain text, and the quoted data is made harmless
    undefined=jinja2.StrictUndefined,
)


def request(event: TemplateResolved, registry: str, runner: Runner, contents: Mapping[str, str], *, budget: int) -> str:
    """The question for one repository: adapt the template where there is one, else write; `budget` in characters."""
    return _texts.get_template("adapt.j2" if event.template else "write.j2").render(
        registry=registry,
        runner=runner,
        analysis=event.analysis.model_dump_json(exclude={"evidence"}, indent=1)[:FACTS],
        files=within(contents, budget),
        template=event.template,
        reasons=event.reasons,
    )


def question(request: str, attempt: int, schema: Mapping[str, object]) -> Question:
    """The question for a request, which after a refusal is asked once more with the answer and what was wrong."""

    def text(refused: Refused | None) -> str:
        return again(request, refused) if refused else request

    return Question("generator", attempt, VERSION, SYSTEM, schema, text)


def again(request: str, refused: Refused) -> str:
    """The request once more, with the last answer and what was wrong with it."""
    return _texts.get_template("repair.j2").render(
        request=request, answer=refused.answer[:ANSWER], findings=refused.findings
    )


def within(contents: Mapping[str, str], budget: int) -> dict[str, str]:
    """The files that fit, the most telling first; the last one is cut where the budget ends."""
    chosen: dict[str, str] = {}
    for path, text in contents.items():
        left = budget - sum(map(len, chosen.values()))
        if left <= 0:
            break
        chosen[path] = text if len(text) <= left else f"{text[:left]}\n[cut]"
    return chosen


def quoted(text: str) -> str:
    """The text with every `<` written otherwise: nothing in it can end the mark between which it stands."""
    return text.replace("<", "\\u003c")


_texts.filters["quoted"] = quoted
