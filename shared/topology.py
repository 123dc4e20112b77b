"""Who reads and publishes what; streams, consumers, permissions and docs derive from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared import events
from shared.events import EVENT_TYPES, Event

EVENTS_STREAM = "EVENTS"
DLQ_STREAM = "DLQ"
ADVISORIES_STREAM = "ADVISORIES"
BLOBS_BUCKET = "greenrun-blobs"
LEASES_BUCKET = "greenrun-leases"
KEYS_BUCKET = "greenrun-keys"
TOKENS_BUCKET = "greenrun-tokens"
INTAKE_TYPE = events.RepoSubmitted
INTAKE_SUBJECT = INTAKE_TYPE.type
INTAKE_CONSUMER = "analyzer-intake"


@dataclass(frozen=True)
class Node:
    """One service: the one type that it reads (None: no subscription) and the types that it may publish."""

    service: str
    reads: type[Event] | None
    publishes: tuple[type[Event], ...]

    @property
    def filter_subject(self) -> str | None:
        """The filter of its durable consumer."""
        return None if self.reads is None else f"{self.reads.type}.*.*"


TOPOLOGY: tuple[Node, ...] = (
    Node("gateway", None, (events.RepoSubmitted, events.RunCancelled)),
    Node("analyzer", events.RepoSubmitted, (events.RepoSubmitted, events.RepoAnalyzed, events.RunFailed)),
    Node("retriever", events.RepoAnalyzed, (events.TemplateResolved, events.RunFailed)),
    Node("generator", events.TemplateResolved, (events.FilesGenerated, events.RunFailed)),
    Node("seeder", events.FilesGenerated, (events.ImagesSeeded, events.RunFailed)),
    Node("committer", events.ImagesSeeded, (events.CommitCreated, events.PipelineFailed, events.RunFailed)),
    Node("monitor", events.CommitCreated, (events.PipelinePassed, events.PipelineFailed, events.RunFailed)),
    Node("healer", events.PipelineFailed, (events.FilesGenerated, events.RunFailed)),
    Node("learner", events.PipelinePassed, (events.TemplateStored, events.RunFailed)),
)


def node(service: str) -> Node:
    """The row of a service; KeyError where there is none of that name."""
    return {row.service: row for row in TOPOLOGY}[service]


def event_subjects() -> list[str]:
    """The subjects of the EVENTS stream: the bare intake and `<type>.*.*` for each type."""
    return [INTAKE_SUBJECT, *(f"{name}.*.*" for name in EVENT_TYPES)]


NANOSECONDS = 1_000_000_000
EVENTS_MAX_AGE_DAYS = 90
# A backstop far above any setting of MAX_DELIVERIES: the server drops silently, the bus makes a dead letter.
MAX_DELIVER_BACKSTOP = 10_000
# Where the server does not know a message's own time to live (before NATS 2.11), a lease is forgotten after this.
LEASES_MAX_AGE_SECONDS = 120
# For so long an Idempotency-Key stands for its run.
KEYS_MAX_AGE_DAYS = 7
ADVISORY_SUBJECTS = [
    f"$JS.EVENT.ADVISORY.CONSUMER.{kind}.{EVENTS_STREAM}.>" for kind in ("MAX_DELIVERIES", "MSG_TERMINATED")
]


@dataclass(frozen=True)
class Kept:
    """What a person decides about the streams: on how many servers, for how many days, how many bytes (0: no limit)."""

    replicas: int = 1
    max_age_days: float = EVENTS_MAX_AGE_DAYS
    max_bytes: int = 0
    blobs_max_bytes: int = 0


KEPT = Kept()


def streams(what: Kept = KEPT) -> list[dict[str, Any]]:
    """The streams (and the buckets, which are such) as JetStream's API takes them (design, section 2).

    A log that is full refuses what is new and loses nothing: what was not stored is tried again.
    """
    kept = {
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_age": int(what.max_age_days * 86_400) * NANOSECONDS,
        "num_replicas": what.replicas,
        "compression": "s2",
    }
    return [
        {
            **kept,
            "name": EVENTS_STREAM,
            "max_bytes": what.max_bytes or -1,
            "subjects": event_subjects(),
            "deny_delete": True,
            "deny_purge": True,
            "allow_direct": True,
            "duplicate_window": 120 * NANOSECONDS,
            "republish": {"src": "*.*.*.*", "dest": "live.{{wildcard(1)}}.{{wildcard(2)}}"},
        },
        {**kept, "name": DLQ_STREAM, "subjects": ["dlq.*.*", "dlq.*.*.settled"], "allow_direct": True},
        {**kept, "name": ADVISORIES_STREAM, "discard": "old", "subjects": ADVISORY_SUBJECTS},
        {
            **kept,
            "name": f"OBJ_{BLOBS_BUCKET}",
            "max_bytes": what.blobs_max_bytes or -1,
            "subjects": [f"$O.{BLOBS_BUCKET}.C.>", f"$O.{BLOBS_BUCKET}.M.>"],
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        },
        {
            **kept,
            "name": f"KV_{LEASES_BUCKET}",
            "subjects": [f"$KV.{LEASES_BUCKET}.>"],
            "max_age": LEASES_MAX_AGE_SECONDS * NANOSECONDS,
            "max_msgs_per_subject": 1,
            "allow_msg_ttl": True,
            "allow_direct": True,
        },
        {**kept, **_records(KEYS_BUCKET), "max_age": KEYS_MAX_AGE_DAYS * 86_400 * NANOSECONDS},
        {**kept, **_records(TOKENS_BUCKET), "max_age": 0},
    ]


def _records(bucket: str) -> dict[str, Any]:
    """A bucket that keeps the newest record of each key."""
    return {"name": f"KV_{bucket}", "subjects": [f"$KV.{bucket}.>"], "max_msgs_per_subject": 1, "allow_direct": True}


def consumers(*, ack_wait: float) -> list[dict[str, Any]]:
    """One durable pull consumer per service, and the intake's; `ack_wait` in seconds."""
    wanted = [(row.service, row.filter_subject) for row in TOPOLOGY if row.filter_subject]
    return [
        {
            "durable_name": name,
            "filter_subject": subject,
            "ack_policy": "explicit",
            "deliver_policy": "all",
            "ack_wait": int(ack_wait * NANOSECONDS),
            "max_ack_pending": 10_000,
            "max_deliver": MAX_DELIVER_BACKSTOP,
        }
        for name, subject in [*wanted, (INTAKE_CONSUMER, INTAKE_SUBJECT)]
    ]
