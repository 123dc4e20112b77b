"""The ranking is right on labelled queries, half of them for a framework that no template has."""

from __future__ import annotations

import pytest

from bench import retrieval
from services.retriever import families


@pytest.mark.parametrize("name", retrieval.AIMS)
def test_the_aim_is_held(name: str) -> None:
    """As a share of the queries of `bench/data`."""
    templates, queries = retrieval.library()
    assert retrieval.scores(templates, queries)[name] >= retrieval.AIMS[name]


@pytest.mark.parametrize(
    ("nearer", "farther", "to"),
    [
        ("flask", "django", "bottle"),
        ("django", None, "flask"),
        ("express", "react", "koa"),
        ("aspnetcore", "blazor", "aspnet"),
        (None, "gin", None),
        ("nextjs", "express", "remix"),
    ],
)
def test_which_framework_is_nearer(nearer: str | None, farther: str | None, to: str) -> None:
    """The same before the family, the family before the kind, the kind before nothing; whichever way one asks."""
    near, far = (families.framework_likeness(one, to) for one in (nearer, farther))
    assert near > far
    assert near == families.framework_likeness(to, nearer)


def test_relatives_come_nearest_first() -> None:
    """The language itself, then those of the same tools, also by their other names."""
    assert families.relatives("typescript") == ["typescript", "javascript"]
    assert families.relatives("java") == ["java", "kotlin", "groovy", "scala"]
    assert "html" in families.relatives("static")
    assert families.relatives("cobol") == ["cobol"]
