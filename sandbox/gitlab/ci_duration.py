"""Durations as GitLab's timeouts write them: `1h 30m`, `90 minutes`, `3 hours 20 minutes`, bare seconds."""

from __future__ import annotations

import re

UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 604_800),
    **dict.fromkeys(("mo", "mos", "month", "months"), 2_592_000),
}
PART = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]*)")


def duration(given: object) -> int | None:
    """Seconds; None where it is no duration."""
    text = re.sub(r"\band\b|,", " ", str(given).lower()).strip()
    if isinstance(given, bool) or not text:
        return None
    seconds = 0.0
    while text:
        part = PART.match(text)
        if part is None or (part[2] or "s") not in UNITS:
            return None
        seconds += float(part[1]) * UNITS[part[2] or "s"]
        text = text[part.end() :].lstrip()
    return int(seconds) or None


def spoken(seconds: int) -> str:
    """As Go prints a duration, and so the runner: `1h0m0s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
