"""What GitLab's YAML has beyond plain values."""

from __future__ import annotations

from dataclasses import dataclass

MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Pointer:
    """GitLab's `!reference [job, key, …]`; `line` counts from 1."""

    path: tuple[str, ...]
    line: int
