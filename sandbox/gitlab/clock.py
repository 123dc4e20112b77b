"""The time as GitLab writes it: ISO 8601 in its API, with a space and UTC in its hooks."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The time, to the millisecond."""
    return written(datetime.now(UTC).timestamp())


def written(at: float) -> str:
    """A time in seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_hooks(at: str | None) -> str | None:
    """`2026-09-21 01:05:07 UTC` for what `now` gave."""
    return None if at is None else f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"


def seconds_between(begin: str | None, end: str | None) -> float | None:
    """Seconds from one to the other; None where one of them is not known."""
    if not begin or not end:
        return None
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds(), 3)
