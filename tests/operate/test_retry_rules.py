"""What may be published again, from where, and with which options."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.events import (
    CommitCreated,
    Event,
    FilesGenerated,
    ImagesSeeded,
    Job,
    Pipeline,
    PipelineFailed,
    RepoSubmitted,
    Rerun,
    RunCancelled,
    RunFailed,
    Submission,
    TemplateStored,
)
from shared.retry import OPTIONS, RETRYABLE, NotRetryable, options, plan, repairs_since_retry, retried
from tests.facts import ANALYZED, COMMIT, PASSED, PROPOSAL, RUN, START
from tests.test_history import FAILED, HEALED, REPAIR, RESOLVED, SUBMITTED, stored

FILES = FilesGenerated(run_id=RUN, proposal=PROPOSAL)
SEEDED = ImagesSeeded(run_id=RUN, proposal=PROPOSAL)
COMMITTED = CommitCreated(run_id=RUN, proposal=PROPOSAL, commit=COMMIT, at=START)
ALL = (SUBMITTED, ANALYZED, RESOLVED, FILES, SEEDED, COMMITTED)
NOW = START + timedelta(days=1)


def ended(phase: str, attempt: int = 1) -> RunFailed:
    """The end of the run in this phase."""
    return RunFailed(run_id=RUN, attempt=attempt, phase=phase, reason="it went wrong")


@pytest.mark.parametrize(
    ("events", "phase", "again"),
    [
        (ALL[:1], "analyzer", "repo.submitted"),
        (ALL[:3], "generator", "template.resolved"),
        (ALL[:5], "committer", "images.seeded"),
        ((*ALL, FAILED), "healer", "files.generated"),
    ],
)
def test_a_failed_run_goes_on_where_it_stopped(events: tuple[Event, ...], phase: str, again: str) -> None:
    """The event that the failed phase had in hand comes under the next attempt; after the healer the files do."""
    made = plan(stored(*events, ended(phase)), now=NOW)
    assert (made.event.type, made.event.attempt, made.cause) == (again, 2, f"{again}.{RUN}.1")
    assert made.after == len(events) + 1


def test_the_latest_or_the_named_attempt_is_taken() -> None:
    """`files.generated` is the one that failed last, `files.generated.1` the first."""
    healed = FILES.model_copy(update={"attempt": 2, "proposal": HEALED})
    records = stored(*ALL, FAILED, healed, ended("seeder", 2))
    latest, first = plan(records, "files.generated", now=NOW), plan(records, "files.generated.1", now=NOW)
    assert (latest.cause, first.cause) == (f"files.generated.{RUN}.2", f"files.generated.{RUN}.1")
    assert isinstance(latest.event, FilesGenerated)
    assert latest.event.proposal.repairs == (REPAIR,)
    assert latest.event.attempt == first.event.attempt == 3


@pytest.mark.parametrize(
    ("events", "start", "words"),
    [
        ((), None, "no such run"),
        (ALL, None, "is in flight: commit.created of attempt 1"),
        ((*ALL, PASSED), None, "has passed and nothing failed; say from where"),
        ((SUBMITTED, RunCancelled(run_id=RUN)), "repo.submitted", "cancelled, which is for good"),
        ((SUBMITTED, ended("analyzer")), "files.generated", "has no files.generated; it came to repo.submitted"),
        ((SUBMITTED, ended("analyzer")), "repo.submitted.7", "has no repo.submitted.7"),
        ((SUBMITTED, ended("analyzer")), "run.failed", "cannot go on from 'run.failed'"),
        ((SUBMITTED, ended("analyzer")), "nonsense", "it can from repo.submitted, repo.analyzed"),
    ],
)
def test_what_cannot_be_retried_is_refused_with_a_reason(
    events: tuple[Event, ...], start: str | None, words: str
) -> None:
    """In flight, cancelled, never reached, of no such type."""
    with pytest.raises(NotRetryable, match=words.replace(".", r"\.")):
        plan(stored(*events), start, now=NOW)


def test_a_run_that_passed_can_be_learned_again() -> None:
    """The learner failed after the pass: what it had in hand comes again."""
    made = plan(stored(*ALL, PASSED, ended("learner")), now=NOW)
    assert (made.event.type, made.event.attempt) == ("pipeline.passed", 2)


def test_a_rerun_that_has_happened_is_not_claimed_again() -> None:
    """The files are committed anew; the old pipeline's end must not count as that of this attempt."""
    rerun = PROPOSAL.model_copy(update={"rerun": Rerun(commit=COMMIT, pipeline_id=7, last_job_id=3)})
    event = FILES.model_copy(update={"proposal": rerun})
    made = plan(stored(*ALL[:3], event, ended("seeder")), now=NOW)
    assert isinstance(made.event, FilesGenerated)
    assert made.event.proposal.rerun is None


def test_a_watch_begins_now_at_the_pipeline_that_is_known() -> None:
    """The deadline counts from the retry, and the pipeline is looked at by its number."""
    made = plan(stored(*ALL, FAILED, ended("healer")), "commit.created", now=NOW)
    assert isinstance(made.event, CommitCreated)
    assert made.event.at == NOW
    assert made.event.proposal.rerun == Rerun(commit=COMMIT, pipeline_id=1)
    assert not any(map(made.event.proposal.rerun.begun, [Pipeline(status="failed", jobs=())]))


def test_options_change_where_they_still_count() -> None:
    """Another branch from the commit on; another ref makes the analyzer read again."""
    records = stored(*ALL, FAILED, ended("healer"))
    branch = plan(records, "images.seeded", options(["branch=ci/green", "merge_request=true"]), now=NOW)
    assert isinstance(branch.event, ImagesSeeded)
    assert branch.event.proposal.submission.branch == "ci/green"
    assert branch.event.proposal.submission.merge_request is True
    read_again = plan(records, None, options(["ref=main"]), now=NOW)
    assert isinstance(read_again.event, RepoSubmitted)
    assert read_again.event.ref == "main"
    assert plan(records, None, options(["author="]), now=NOW).event.type == "files.generated"


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("colour=red", "there is no option 'colour'"),
        ("repo_url=https://x/y", "there is no option 'repo_url'"),
        ("branch", "is no KEY=VALUE"),
        ("branch=a b", "is no name of a branch"),
        ("merge_request=perhaps", "merge_request: "),
        ("ref=main", "ref makes no difference after repo.submitted"),
    ],
)
def test_an_option_that_is_none_is_refused(word: str, words: str) -> None:
    """Unknown, unreadable, or too late to be heard."""
    with pytest.raises(NotRetryable, match=words.replace(".", r"\.")):
        plan(stored(*ALL, ended("monitor")), "images.seeded", options([word]), now=NOW)


def test_repairs_before_a_retry_are_told_from_those_after_it() -> None:
    """A retry leaves a gap between the attempts that repairs made."""
    repairs = tuple(REPAIR.model_copy(update={"attempt": attempt}) for attempt in (2, 3, 5))
    assert repairs_since_retry(repairs[:2], 3) == repairs[:2]
    assert repairs_since_retry(repairs[:2], 4) == ()
    assert repairs_since_retry(repairs, 5) == repairs[2:]
    again = FILES.model_copy(update={"attempt": 4})
    assert retried(again, repairs[:2])
    assert not retried(again.model_copy(update={"attempt": 5}), repairs)
    assert not retried(FILES, ())


def test_every_phase_can_be_told_again() -> None:
    """What no service reads cannot be: nothing would follow."""
    assert TemplateStored.type not in RETRYABLE
    assert list(RETRYABLE) == [
        *("repo.submitted", "repo.analyzed", "template.resolved", "files.generated", "images.seeded"),
        *("commit.created", "pipeline.passed", "pipeline.failed"),
    ]


def test_the_pipeline_of_another_commit_is_none_of_its_own() -> None:
    """Only what was seen of this commit is looked at again."""
    other = FAILED.model_copy(update={"commit": COMMIT.model_copy(update={"sha": "2" * 40})})
    assert isinstance(other, PipelineFailed)
    other = other.model_copy(
        update={"pipeline": Pipeline(id=9, status="failed", jobs=(Job(id=1, name="j", stage="s", status="failed"),))}
    )
    made = plan(stored(*ALL, other, ended("healer")), "commit.created", now=NOW)
    assert isinstance(made.event, CommitCreated)
    assert made.event.proposal.rerun is None


def test_every_option_of_a_submission_can_be_set_anew() -> None:
    """But the repository itself, which makes it another run, and who asked for it."""
    assert set(OPTIONS) == set(Submission.model_fields) - {"repo_url", "requested_by"}
