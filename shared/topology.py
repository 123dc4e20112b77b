"""Who reads and publishes what; streams, consumers, permissions and docs derive from this table."""

from __future__ import annotations

from dataclasses import dataclass

from shared import events
from shared.events import EVENT_TYPES, Event

EVENTS_STREAM = "EVENTS"
DLQ_STREAM = "DLQ"
ADVISORIES_STREAM = "ADVISORIES"
BLOBS_BUCKET = "greenrun-blobs"
INTAKE_SUBJECT = events.RepoSubmitted.type
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
    Node("committer", events.ImagesSeeded, (events.CommitCreated, events.RunFailed)),
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
