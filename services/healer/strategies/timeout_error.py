"""timeout_error: the job took longer than it may.

It may raise the `timeout` of the failed job, to twice what it had and three hours at most; nothing where a step or a
test has a time limit of its own: that is for a person.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.edit.pipeline import with_key, with_scalar
from services.healer.strategies.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.healer.failure import Failure

MOST = 180
DEFAULT = 60
_JOB = re.compile(
    r"execution took longer than|exceeded the maximum execution time|job_execution_timeout|stuck_or_timeout_failure"
    r"|[Jj]ob (?:has )?timed out|job_execution_server_timeout"
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(h|m(?!o)|s|d)", re.IGNORECASE)
_MINUTES = {"d": 1_440.0, "h": 60.0, "m": 1.0, "s": 1 / 60}


def repairs(failure: Failure) -> Iterator[Fix]:
    """The job with twice its time, where it was the job that took too long."""
    if not failure.known or not any(_JOB.search(line) for line in failure.near):
        return
    document, name = failure.document, failure.name
    now = minutes(str(document.resolved[name].get("timeout") or "")) or DEFAULT
    wanted = min(MOST, 2 * now)
    if wanted <= now:
        return
    own = document.root.get(name)
    written = f"{wanted} minutes"
    if isinstance(own, dict) and "timeout" in own:
        text = with_scalar(document, (name, "timeout"), written)
    else:
        text = with_key(document, name, [f"timeout: {written}"])
    if text:
        summary = f"job {name} may take {wanted} minutes instead of {now}"
        yield Fix("give the job more time", summary, failure.files.model_copy(update={"pipeline": text}))


def minutes(text: str) -> int:
    """A duration such as `1h 30m` or `90 minutes` in minutes; 0 where it is none."""
    return round(sum(float(number) * _MINUTES[unit.lower()] for number, unit in _PART.findall(text)))
