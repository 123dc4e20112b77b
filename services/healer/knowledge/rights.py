"""Which right is missing, by what the side that refused said: the table is `rights.yml` beside."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml


@cache
def _rights() -> tuple[tuple[re.Pattern[str], str], ...]:
    rows = yaml.safe_load((Path(__file__).parent / "rights.yml").read_text())
    return tuple((re.compile(row["says"], re.IGNORECASE), row["needs"]) for row in rows)


def patterns() -> list[str]:
    """The patterns that are held against the evidence."""
    return [says.pattern for says, _ in _rights()]


def right_missing(evidence: str) -> str:
    """The right that the account or token of the job needs; empty where the evidence does not tell."""
    return next((right for says, right in _rights() if says.search(evidence)), "")
