"""The fold: a run as its events tell it, whatever order they come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.events import (
    CommitCreated,
    Event,
    Evidence,
    FilesGenerated,
    Pipeline,
    PipelineFailed,
    PipelinePassed,
    Repair,
    RepoAnalyzed,
    RepoSubmitted,
    RunCancelled,
    RunFailed,
    TemplateResolved,
    TemplateStored,
)
from shared.history import Run, fold
from tests.facts import ANALYZED, COMMIT, FLASK, PROPOSAL, RUN, SUBMISSION, Stored

REPAIR = Repair(
    attempt=2, error_class="image_not_found", job="compile", evidence=Evidence(source="compile"), strategy="seed",
    summary="seeded", author="rules",
)  # fmt: skip
HEALED = PROPOSAL.model_copy(update={"repairs": (REPAIR,)})


def stored(*events: Event) -> list[Stored]:
    """The events in this order."""
    return [Stored(event, sequence) for sequence, event in enumerate(events, 1)]


SUBMITTED = RepoSubmitted(run_id=RUN, repo_url=SUBMISSION.repo_url)
RESOLVED = TemplateResolved(run_id=RUN, submission=SUBMISSION, analysis=FLASK, decision="llm-generated")
FAILED = PipelineFailed(
    run_id=RUN, proposal=PROPOSAL, commit=COMMIT, outcome="failed", pipeline=Pipeline(id=1, status="failed")
)
PASSED = PipelinePassed(
    run_id=RUN, attempt=2, proposal=HEALED, commit=COMMIT, pipeline=Pipeline(id=2, status="success")
)
STORY: list[Event] = [
    SUBMITTED,
    ANALYZED,
    RESOLVED,
    FilesGenerated(run_id=RUN, proposal=PROPOSAL),
    CommitCreated(run_id=RUN, proposal=PROPOSAL, commit=COMMIT),
    FAILED,
    FilesGenerated(run_id=RUN, attempt=2, proposal=HEALED),
    PASSED,
    TemplateStored(run_id=RUN, attempt=2, template_id="manual_x", collection="successful_pipelines"),
]


def test_a_healed_run_is_passed_with_its_whole_story() -> None:
    """Decision, files, commit, repairs and template are those of the latest attempt."""
    run = fold(stored(*STORY))
    assert (run.status, run.attempt, run.phase) == ("passed", 2, "template.stored")
    assert (run.decision, run.origin, run.commit) == ("llm-generated", "rules", COMMIT)
    assert run.repairs == (REPAIR,)
    assert run.template is not None
    assert run.template.template_id == "manual_x"
    assert [step.seconds for step in run.timeline] == [None, *[1.0] * 8]


def test_a_failed_run_says_where_and_a_retry_opens_it_again() -> None:
    """`run.failed` ends it; an event of the next attempt makes it run."""
    failed = RunFailed(run_id=RUN, phase="committer", reason="no such project")
    run = fold(stored(SUBMITTED, ANALYZED, failed))
    assert (run.status, run.failure) == ("failed", failed)
    again = RepoAnalyzed(run_id=RUN, attempt=2, submission=SUBMISSION, commit_sha="1" * 40, analysis=FLASK)
    run = fold(stored(SUBMITTED, ANALYZED, failed, again))
    assert (run.status, run.failure) == ("running", None)


def test_what_the_learner_cannot_store_does_not_undo_the_pass() -> None:
    """The pipeline is green; the failure is shown."""
    late = RunFailed(run_id=RUN, attempt=2, phase="learner", reason="Chroma is gone")
    run = fold(stored(*STORY[:-1], late))
    assert (run.status, run.failure) == ("passed", late)


def test_a_cancelled_run_stays_cancelled() -> None:
    """Whatever still comes in."""
    run = fold(stored(SUBMITTED, RunCancelled(run_id=RUN), *STORY[1:]))
    assert run.status == "cancelled"


def test_a_commit_that_lint_refused_is_none() -> None:
    """The attempt before it had a commit, which is still the newest one."""
    refused = PipelineFailed(
        run_id=RUN, attempt=2, proposal=PROPOSAL, outcome="yaml_error", pipeline=Pipeline(status="none")
    )
    run = fold(stored(SUBMITTED, FAILED, refused))
    assert (run.commit, run.pipeline) == (COMMIT, Pipeline(status="none"))


def test_where_no_pipeline_was_wanted_the_commit_is_the_end() -> None:
    """Committed is not passed; a person's retry opens the run again."""
    submission = SUBMISSION.model_copy(update={"skip_ci": True})
    proposal = PROPOSAL.model_copy(update={"submission": submission})
    committed = CommitCreated(run_id=RUN, proposal=proposal, commit=COMMIT)
    assert fold(stored(SUBMITTED, committed)).status == "committed"
    retried = FilesGenerated(run_id=RUN, attempt=2, proposal=proposal)
    assert fold(stored(SUBMITTED, committed, retried)).status == "running"


def test_no_events_are_an_empty_run() -> None:
    """Nothing is made up."""
    assert fold([]) == Run()


@given(st.permutations(stored(*STORY)), st.lists(st.sampled_from(stored(*STORY)), max_size=5))
def test_order_and_repetition_do_not_matter(shuffled: list[Stored], again: list[Stored]) -> None:
    """The place in the stream decides, not the order of reading."""
    assert fold([*shuffled, *again]) == fold(stored(*STORY))


@given(st.integers(min_value=0, max_value=len(STORY)))
def test_every_prefix_folds(length: int) -> None:
    """A run in flight has a state at any moment, with one step per event."""
    assert len(fold(stored(*STORY[:length])).timeline) == length
