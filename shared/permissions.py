"""What each NATS user may publish and subscribe to: the least that its work needs, derived from the topology.

A service publishes its own event types, pulls and acknowledges its own consumer, writes its own dead letters, and hears
answers in its own inbox. Everything beyond that is a row in the tables below. Nobody may delete or purge a stream.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared import topology
from shared.dead_letters import SETTLED
from shared.events import EVENT_TYPES, RunCancelled
from shared.news import EVERY_SUBJECT as NEWS
from shared.progress import SUBJECT as PROGRESS
from shared.questions import ANALYSIS
from shared.retry import RETRYABLE
from shared.topology import (
    BLOBS_BUCKET,
    DLQ_STREAM,
    EVENTS_STREAM,
    INTAKE_CONSUMER,
    INTAKE_SUBJECT,
    KEYS_BUCKET,
    LEASES_BUCKET,
    TOKENS_BUCKET,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.topology import Node

SERVICES = tuple(row.service for row in topology.TOPOLOGY)
PROVISIONER = "provisioner"
OPERATOR = "operator"
ARCHIVIST = "archivist"
USERS = (*SERVICES, PROVISIONER, OPERATOR, ARCHIVIST)

# Which services use what lies beside the consumer and the event types; the whole-system test finds what is missing.
PUTS_BLOBS = frozenset({"analyzer", "monitor"})
GETS_BLOBS = frozenset({"generator", "healer", "gateway"})
TAKES_LEASES = frozenset({"seeder"})
READS_THE_LOG = frozenset({"gateway", "retriever"})
# On a person's word: an earlier event again under the next attempt, and what becomes of a dead letter.
RETRIES = frozenset({"gateway"})
CHECKS_PROVISIONING = frozenset({"gateway"})
TELLS = {"generator": f"{PROGRESS}.*", "healer": f"{PROGRESS}.*", "seeder": f"{PROGRESS}.*", "gateway": NEWS}
HEARS = {"monitor": NEWS, "analyzer": ANALYSIS}
ASKS = {"gateway": ANALYSIS}
ANSWERS = frozenset({"analyzer"})
KEEPS_KEYS = frozenset({"gateway"})

BLOBS_STREAM = f"OBJ_{BLOBS_BUCKET}"
LEASES_STREAM = f"KV_{LEASES_BUCKET}"
API = "$JS.API"


@dataclass(frozen=True)
class Permissions:
    """All subjects that a user may publish to and subscribe to; what is not named is refused.

    With `answers` it may say one thing to whoever asked it something, and only there.
    """

    user: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False


def inbox(user: str) -> str:
    """The prefix of the subjects on which a user alone hears answers."""
    return f"_INBOX_{user}"


def user_of(name: str) -> str:
    """The NATS user of a connection with this name: the service itself, or the operator for every other program."""
    return name if name in USERS else OPERATOR


def permissions() -> tuple[Permissions, ...]:
    """Those of every user, in the order of `USERS`."""
    return (
        *(_service(row) for row in topology.TOPOLOGY),
        _permitted(PROVISIONER, _provisioning()),
        _permitted(OPERATOR, _operating(), ["live.>"]),
        _permitted(ARCHIVIST, _archiving()),
    )


def permissions_of(user: str) -> Permissions:
    """Those of one user; KeyError where there is none of that name."""
    return {row.user: row for row in permissions()}[user]


def _permitted(user: str, publish: Iterable[str], subscribe: Iterable[str] = ()) -> Permissions:
    return Permissions(user, tuple(dict.fromkeys(publish)), (f"{inbox(user)}.>", *subscribe))


def _service(row: Node) -> Permissions:
    """A service's own types and consumer, and what the tables say."""
    name = row.service
    publish = [f"{event.type}.*.*" for event in row.publishes]
    publish += _consuming(row)
    publish += [table[name] for table in (TELLS, ASKS) if name in table]
    for users, subjects in (
        (PUTS_BLOBS, _putting_blobs()),
        (GETS_BLOBS, _reading_blobs()),
        (TAKES_LEASES, _leasing()),
        (READS_THE_LOG, _reading(EVENTS_STREAM)),
        (CHECKS_PROVISIONING, _checking()),
        (RETRIES, [*(f"{name}.*.*" for name in RETRYABLE), *_settling()]),
        (KEEPS_KEYS, [*_keeping(KEYS_BUCKET), f"{API}.STREAM.MSG.GET.KV_{TOKENS_BUCKET}"]),
    ):
        publish += subjects if name in users else []
    permitted = _permitted(name, publish, [HEARS[name]] if name in HEARS else [])
    return replace(permitted, answers=name in ANSWERS)


def _consuming(row: Node) -> list[str]:
    """Pull, acknowledge, give up, and look whether a run was cancelled; nothing where the service has no consumer."""
    if row.reads is None:
        return []
    durables = [row.service, *([INTAKE_CONSUMER] if row.reads is topology.INTAKE_TYPE else [])]
    return [
        *(f"{API}.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{durable}" for durable in durables),
        *(f"$JS.ACK.{EVENTS_STREAM}.{durable}.>" for durable in durables),
        f"dlq.{row.service}.*",
        f"{API}.DIRECT.GET.{EVENTS_STREAM}.{RunCancelled.type}.*.*",
        f"{API}.STREAM.INFO.{EVENTS_STREAM}",
    ]


def _reading_blobs() -> list[str]:
    return [f"{API}.STREAM.INFO.{BLOBS_STREAM}", f"{API}.STREAM.MSG.GET.{BLOBS_STREAM}"]


def _putting_blobs() -> list[str]:
    """Chunks and descriptions; a blob is named by its digest, so that a changed one is noticed by whoever reads it."""
    return [*_reading_blobs(), f"$O.{BLOBS_BUCKET}.C.*", f"$O.{BLOBS_BUCKET}.M.*"]


def _keeping(bucket: str) -> list[str]:
    """Records by key, each of which can be read; all of them by who may read the bucket's stream too."""
    return [f"$KV.{bucket}.*", f"{API}.STREAM.MSG.GET.KV_{bucket}"]


def _leasing() -> list[str]:
    return [
        f"$KV.{LEASES_BUCKET}.*",
        f"{API}.STREAM.MSG.GET.{LEASES_STREAM}",
        f"{API}.STREAM.MSG.DELETE.{LEASES_STREAM}",
    ]


def _reading(stream: str) -> list[str]:
    """The last message of a subject, and an ordered consumer that lives as long as it is read from."""
    return [
        f"{API}.DIRECT.GET.{stream}.>",
        f"{API}.STREAM.MSG.GET.{stream}",
        f"{API}.CONSUMER.CREATE.{stream}",
        f"$JS.FC.{stream}.>",
    ]


def _settling() -> list[str]:
    """The dead letters, and what became of each on a person's word."""
    return [*_reading(DLQ_STREAM), f"dlq.*.*.{SETTLED}"]


def _checking() -> list[str]:
    """Whether each stream and consumer is there."""
    return [
        *(f"{API}.STREAM.INFO.{config['name']}" for config in topology.streams()),
        *(f"{API}.CONSUMER.INFO.{EVENTS_STREAM}.{durable}" for durable in _durables()),
    ]


def _provisioning() -> list[str]:
    """Make the streams and consumers of the topology and bring them up to date; no other name, and no deletion."""
    names = [config["name"] for config in topology.streams()]
    return [
        *_checking(),
        *(f"{API}.STREAM.{verb}.{name}" for verb in ("CREATE", "UPDATE") for name in names),
        *(f"{API}.CONSUMER.DURABLE.CREATE.{EVENTS_STREAM}.{durable}" for durable in _durables()),
    ]


def _operating() -> list[str]:
    """Submit, cancel, publish any event again under the next attempt, read everything, and provision."""
    return [
        INTAKE_SUBJECT,
        *(f"{name}.*.*" for name in EVENT_TYPES),
        *_provisioning(),
        *_reading(EVENTS_STREAM),
        *_settling(),
        *_reading(topology.ADVISORIES_STREAM),
        *_keeping(TOKENS_BUCKET),
        *_reading(f"KV_{TOKENS_BUCKET}"),
        *_reading_blobs(),
        f"{API}.INFO",
        f"{API}.STREAM.NAMES",
        f"{API}.STREAM.LIST",
        f"{API}.CONSUMER.NAMES.*",
        f"{API}.CONSUMER.LIST.*",
    ]


def _archiving() -> list[str]:
    """Take a copy of each stream, and make one where there is none: a right of its own, as it holds all at once."""
    names = [config["name"] for config in topology.streams() if config["name"] != LEASES_STREAM]
    return [
        *(f"{API}.STREAM.{verb}.{name}" for verb in ("INFO", "SNAPSHOT", "RESTORE") for name in names),
        "$JS.SNAPSHOT.ACK.>",
        "$JS.SNAPSHOT.RESTORE.>",
    ]


def _durables() -> list[str]:
    return [config["durable_name"] for config in topology.consumers(ack_wait=1)]
