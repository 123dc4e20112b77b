"""Broken pipelines that really run before and after: the first of each class is healed by rules, or reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.broken.__main__ import told
from bench.broken.cases import Broken, cases

FIRST: dict[str, Broken] = {}
for one in cases():
    FIRST.setdefault(one.error_class, one)


@pytest.mark.parametrize("error_class", FIRST)
async def test_a_broken_pipeline_is_green_after_one_repair_or_is_reported(error_class: str, tmp_path: Path) -> None:
    """The class is told, one repair is enough, none is wrong; the project's own news is left to a person."""
    broken = FIRST[error_class]
    end = await told(broken, tmp_path)
    assert end.first_class == error_class
    assert (end.green, end.attempts, end.wrong) == (broken.heals, int(broken.heals), 0)
