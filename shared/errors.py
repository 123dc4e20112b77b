"""Errors, named by what the bus does about them.

GreenrunError
├── Retry       nak with a delay; the delivery comes again until deliveries are exhausted
├── Reject      permanent: dead letter, then `run.failed`, then term
│   └── NotAdmitted   NATS does not know this program, or shows a certificate that it may not trust: the program ends
└── Conflict    another publisher was first with a different fact on the same subject

Adapters translate their client's exceptions into these; nothing above an adapter knows python-gitlab's or httpx's.
Everything that is none of these is unexpected and treated like `Retry`.
"""


class GreenrunError(Exception):
    """Every error that greenrun raises on purpose; its text is one sentence for a person."""


class Retry(GreenrunError):  # noqa: N818 - named by what the bus does
    """Something outside is not available now; the same delivery may go through later."""

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        """`after` is the wish of the other side in seconds (Retry-After); None leaves the delay to the policy."""
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Reject(GreenrunError):  # noqa: N818 - named by what the bus does
    """Permanent: no redelivery can help before a person has changed something."""

    def __init__(self, reason: str, *, evidence: str = "") -> None:
        """`reason` says what, where and what to do; `evidence` is the other side's own words."""
        super().__init__(reason)
        self.reason = reason
        self.evidence = evidence


class NotAdmitted(Reject):
    """NATS does not let this program in, or is not the server that it should be; a person must change something."""


class Conflict(GreenrunError):  # noqa: N818 - named by what the bus does
    """The subject already holds an event; what this publisher wanted to say was not recorded."""
