"""What GitLab's YAML has beyond plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pointer:
    """GitLab's `!reference [job, key, …]`; `line` counts from 1."""

    path: tuple[str, ...]
    line: int
