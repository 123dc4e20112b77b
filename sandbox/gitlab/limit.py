"""The limit of requests, on demand: the next ones are answered with 429, with GitLab's headers or without."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

LIMIT = 120
Style = Literal["seconds", "date", "none"]
STYLES: dict[str, Style] = {"seconds": "seconds", "date": "date", "none": "none"}


@dataclass
class Limit:
    """How many of the next requests are refused, and what their answers carry.

    `retry_after` in seconds; `style` says how it is written: as a number, as an HTTP date, or not at all.
    """

    requests: int = 0
    retry_after: int = 30
    style: Style = "seconds"

    def set(self, requests: int, retry_after: int, style: Style) -> None:
        """From now on."""
        self.requests, self.retry_after, self.style = requests, retry_after, style

    def counts(self) -> bool:
        """Whether this request is refused; it is counted."""
        refused = self.requests > 0
        self.requests -= refused
        return refused

    def headers(self) -> dict[str, str]:
        """GitLab's headers of a 429; none where the style is none."""
        if self.style == "none":
            return {}
        reset = time.time() + self.retry_after
        return {
            "RateLimit-Name": "throttle_authenticated_api",
            "RateLimit-Limit": str(LIMIT),
            "RateLimit-Observed": str(LIMIT + 1),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(int(reset)),
            "RateLimit-ResetTime": formatdate(reset, usegmt=True),
            "Retry-After": formatdate(reset, usegmt=True) if self.style == "date" else str(self.retry_after),
        }
