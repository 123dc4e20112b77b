"""The trace context of a run: one trace per run, derived from its id, so that no service has to hand it on."""

from __future__ import annotations

import hashlib

from ulid import ULID


def traceparent(run_id: str, subject: str) -> str:
    """The W3C `traceparent` of an event: the run's ULID as trace id (128 bits), a hash of the subject as span id."""
    span = hashlib.sha256(subject.encode()).hexdigest()[:16]
    return f"00-{_trace_id(run_id)}-{span}-01"


def _trace_id(run_id: str) -> str:
    """32 hex digits; a run id that is no ULID (a foreign client chose it) is hashed."""
    try:
        return ULID.from_str(run_id).hex
    except ValueError:
        return hashlib.sha256(run_id.encode()).hexdigest()[:32]
