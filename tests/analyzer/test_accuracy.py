"""The analyzer is right about repositories that nobody here wrote: the labelled ones of `bench/data`."""

from __future__ import annotations

import pytest

from bench import corpus
from bench.analyzer import AIMS


@pytest.fixture(scope="module")
def scores() -> dict[str, corpus.Score]:
    """Of all rows."""
    return corpus.scores((row, corpus.analysis(row)) for row in corpus.rows())


@pytest.mark.parametrize("field", AIMS)
def test_the_aim_is_held(scores: dict[str, corpus.Score], field: str) -> None:
    """As a share of the rows that have the label; where it fails, the rows are named."""
    assert scores[field].share >= AIMS[field], scores[field].wrong


def test_every_answer_says_where_it_stands() -> None:
    """A language, framework, version and package manager that were found have evidence, in a file of the repository."""
    for row in corpus.rows():
        found = corpus.analysis(row)
        about = {evidence.about for evidence in found.evidence}
        wanted = {name for name in ("framework", "version", "package_manager") if getattr(found, name)}
        assert wanted <= about, (row["path"], wanted - about)
        assert {evidence.source for evidence in found.evidence if evidence.source} <= row["files"].keys()
