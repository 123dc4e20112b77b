"""Which path a repository takes, and which template comes first."""

from __future__ import annotations

import pytest

from services.retriever import decide
from services.retriever.service import Deps, retrieve
from shared.events import Commands
from shared.fit import fit_key
from tests.facts import ANALYZED, FLASK, template
from tests.fakes.templates import FakeTemplates


def test_a_template_that_fits_is_a_direct_hit() -> None:
    """Everything that it assumes holds in the repository."""
    resolved = decide.resolve(ANALYZED, [template()], keep=5)
    assert (resolved.decision, resolved.template) == ("chromadb-direct", template())
    assert resolved.candidates[0].score == pytest.approx(100 - 5 + 2.5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dockerfile": None}, "it has no dockerfile"),
        ({"package_manager": "poetry"}, "its package manager is poetry, the repository's is pip"),
        ({"build_tool": "make"}, "its build tool is make, the repository's is none"),
        ({"framework": "django"}, "its framework is django, the repository's is flask"),
        ({"version": "2.7"}, "its major version is 2, the repository's is 3"),
        ({"root": "apps/web"}, "its folder is apps/web, the repository's is none"),
        ({"entry_point": "wsgi.py"}, "its entry point is wsgi.py, the repository's is app.py"),
        ({"commands": Commands(start="flask run")}, "its start command is flask run"),
    ],
)
def test_a_template_that_does_not_fit_is_a_reference(changes: dict[str, object], reason: str) -> None:
    """It is never a direct hit, and the event says why."""
    resolved = decide.resolve(ANALYZED, [template(**changes)], keep=5)
    assert resolved.decision == "chromadb-reference"
    assert any(reason in said for said in resolved.reasons)


def test_what_fits_has_the_key_of_the_repository() -> None:
    """By which a store finds it among any number; and the other way round, for each thing that is assumed."""
    assert fit_key(template(version="3.11", dependencies=())) == fit_key(FLASK)
    others: list[dict[str, object]] = [
        {"entry_point": "x"},
        {"root": "x"},
        {"version": "2.7"},
        {"commands": Commands()},
        {"framework": None},
    ]
    assert fit_key(FLASK) not in {fit_key(template(**changes)) for changes in others}


def test_a_template_that_failed_loses_rank() -> None:
    """The more of its uses failed, the more; the event shows by how much."""
    templates = [template(id="a"), template(id="b"), template(id="c")]
    ranked = decide.rank(templates, FLASK, {"a": 0.5, "b": 0.25})
    assert [candidate.id for _, candidate in ranked] == ["c", "b", "a"]
    assert [candidate.components.get("failed") for _, candidate in ranked] == [None, -7.5, -15.0]


def test_a_template_gives_way_to_its_healed_form() -> None:
    """Where the healed form is there as well."""
    old, healed = template(id="manual_a"), template(id="b", supersedes="manual_a", stages_count=0)
    resolved = decide.resolve(ANALYZED, [old, healed], keep=5)
    assert resolved.template == healed
    assert decide.resolve(ANALYZED, [old], keep=5).template == old


def test_another_minor_version_of_the_language_fits() -> None:
    """The design asks for the same major version."""
    assert decide.resolve(ANALYZED, [template(version="3.11")], keep=5).decision == "chromadb-direct"


def test_without_a_template_everything_is_written() -> None:
    """An empty store, or one whose records have neither file, leads to the third path."""
    empty = template(pipeline=None, dockerfile=None)
    assert decide.resolve(ANALYZED, [], keep=5).decision == "llm-generated"
    assert decide.resolve(ANALYZED, [empty], keep=5).template is None


def test_between_equals_manual_then_proven_then_more_stages_come_first() -> None:
    """The seed's order breaks ties, and only ties."""
    golden, proven = template(id="manual_a"), template(id="manual_b", collection="successful_pipelines")
    few, many = template(id="few", stages_count=3), template(id="many", stages_count=9)
    close = template(id="manual_poetry", package_manager="poetry", stages_count=99)
    ranked = decide.rank([close, few, many, golden, proven], FLASK)
    assert [candidate.id for _, candidate in ranked] == ["manual_b", "manual_a", "many", "few", "manual_poetry"]


def test_a_framework_of_the_same_family_beats_a_stranger() -> None:
    """A bottle application is nearer to Flask's template than to Django's."""
    ranked = decide.rank([template(id="django", framework="django"), template(id="bottle", framework="bottle")], FLASK)
    assert ranked[0][1].id == "bottle"


async def test_the_handler_asks_for_related_languages() -> None:
    """A TypeScript repository may start from a JavaScript template, as a reference."""
    javascript = template(language="javascript")
    analysis = FLASK.model_copy(update={"language": "typescript"})
    event = ANALYZED.model_copy(update={"analysis": analysis})
    resolved = await retrieve(event, Deps(FakeTemplates(javascript, template(id="other", language="ruby")), 5))
    assert resolved.decision == "chromadb-reference"
    assert [candidate.id for candidate in resolved.candidates] == ["golden"]
