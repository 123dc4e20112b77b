"""Runs as the log has them, whole or up to some point, for tests that need many."""

from __future__ import annotations

from collections.abc import Iterator

from shared.events import (
    CommitCreated,
    Event,
    FilesGenerated,
    Pipeline,
    PipelineFailed,
    PipelinePassed,
    RepoAnalyzed,
    RepoSubmitted,
    RunCancelled,
    RunFailed,
    TemplateResolved,
    TemplateStored,
)
from tests.facts import COMMIT, FLASK, PROPOSAL, SUBMISSION, Stored


def healed(run_id: str) -> list[Event]:
    """A run that failed once, was healed, and passed."""
    again = PROPOSAL.model_copy(
        update={"files": PROPOSAL.files.model_copy(update={"pipeline": "stages: [compile, build]\n"})}
    )
    failed = Pipeline(id=1, status="failed")
    return [
        RepoSubmitted(run_id=run_id, **SUBMISSION.model_dump()),
        RepoAnalyzed(run_id=run_id, submission=SUBMISSION, commit_sha="0" * 40, analysis=FLASK),
        TemplateResolved(run_id=run_id, submission=SUBMISSION, analysis=FLASK, decision="llm-generated"),
        FilesGenerated(run_id=run_id, proposal=PROPOSAL),
        CommitCreated(run_id=run_id, proposal=PROPOSAL, commit=COMMIT),
        PipelineFailed(run_id=run_id, proposal=PROPOSAL, commit=COMMIT, outcome="failed", pipeline=failed),
        FilesGenerated(run_id=run_id, attempt=2, proposal=again),
        PipelinePassed(
            run_id=run_id, attempt=2, proposal=again, commit=COMMIT, pipeline=Pipeline(id=2, status="success")
        ),
        TemplateStored(run_id=run_id, attempt=2, template_id="manual_x", collection="successful_pipelines"),
    ]


def endings(run_id: str) -> list[Event]:
    """Events that end a run otherwise."""
    return [RunFailed(run_id=run_id, phase="analyzer", reason="x" * 2000), RunCancelled(run_id=run_id)]


def stored(events: Iterator[Event] | list[Event], first: int = 1) -> list[Stored]:
    """The events in this order."""
    return [Stored(event, sequence) for sequence, event in enumerate(events, first)]
