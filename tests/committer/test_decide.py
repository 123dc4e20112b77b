"""Where the files go and what the commit says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ulid import ULID

from services.committer.decide import Held, branch_name, changes, message, project_path, trailer
from shared.events import Evidence, ImagesSeeded, Proposal, Repair, Submission
from tests.facts import PROPOSAL

EVENT = "images.seeded.RUN.2"


def said(proposal: Proposal) -> str:
    """The message of a commit of the second attempt."""
    return message(ImagesSeeded(run_id="RUN", attempt=2, proposal=proposal), "http://portal/runs/RUN").text


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://gitlab.example/shop/web.git", "shop/web"),
        ("https://gitlab.example/shop/web", "shop/web"),
        ("http://gitlab.example/shop/web/", "shop/web"),
        ("https://GitLab.Example/group/sub/web.git", "group/sub/web"),
        ("https://gitlab.example:443/shop/web.git", "shop/web"),
        ("https://gitlab.example/shop/web/-/tree/main/src", "shop/web"),
        ("https://gitlab.example/shop/w%65b", "shop/web"),
        ("git@gitlab.example:shop/web.git", "shop/web"),
        ("ssh://git@gitlab.example:2222/shop/web.git", "shop/web"),
        ("https://gitlab.example/", None),
        ("https://gitlab.example:8443/shop/web.git", None),
        ("https://github.com/shop/web.git", None),
        ("https://gitlab.example.evil.org/shop/web", None),
        ("git@github.com:shop/web.git", None),
        ("ssh://git@github.com/shop/web.git", None),
        ("file://gitlab.example/shop/web.git", None),
        ("/srv/git/web.git", None),
    ],
)
def test_a_repository_on_this_gitlab_is_its_own_project(url: str, path: str | None) -> None:
    """By host and port, whatever form the URL has; elsewhere there is none."""
    assert project_path(Submission(repo_url=url), "https://gitlab.example") == path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://host.example/gitlab/shop/web.git", "shop/web"),
        ("https://host.example/shop/web.git", None),
        ("https://host.example/gitlabs/shop/web.git", None),
    ],
)
def test_a_gitlab_below_a_path(url: str, path: str | None) -> None:
    """A GitLab under a relative URL has the projects below it, and no others."""
    assert project_path(Submission(repo_url=url), "https://host.example/gitlab/") == path


def test_the_named_project_comes_first() -> None:
    """By path or id as it was given, or by its address where that is on this GitLab."""
    here = "https://gitlab.example/shop/web.git"
    assert project_path(Submission(repo_url=here, project="ci/target"), "https://gitlab.example") == "ci/target"
    assert project_path(Submission(repo_url=here, project="42"), "https://gitlab.example") == "42"
    for url in ("https://gitlab.example/ci/target.git", "git@gitlab.example:ci/target.git"):
        assert project_path(Submission(repo_url=here, project=url), "https://gitlab.example") == "ci/target"
    elsewhere = Submission(repo_url=here, project="https://github.com/ci/target")
    assert project_path(elsewhere, "https://gitlab.example") is None


def test_the_branch_carries_the_runs_own_time() -> None:
    """To the millisecond, so that two runs differ, in UTC."""
    time = datetime(2026, 11, 24, 12, 34, 56, 7000, tzinfo=UTC)
    first, second = (str(ULID.from_datetime(time.replace(microsecond=us))) for us in (7000, 8000))
    assert branch_name(first, "feature/ai-pipeline-") == "feature/ai-pipeline-20261124123456007"
    assert branch_name(second, "feature/ai-pipeline-") == "feature/ai-pipeline-20261124123456008"


def repair(attempt: int, summary: str, job: str = "test") -> Repair:
    """One repair."""
    evidence = Evidence(source="trace", text="a line of the trace")
    fields = {"error_class": "timeout_error", "strategy": "more time", "author": "rules"}
    return Repair(attempt=attempt, job=job, evidence=evidence, summary=summary, **fields)


def test_the_message_says_how_the_files_came_about() -> None:
    """Tag and subject, then decision, origin, template, model and this attempt's repairs, then the trailer."""
    proposal = PROPOSAL.model_copy(
        update={
            "decision": "chromadb-reference",
            "origin": "template+model",
            "template_id": "golden",
            "model": "m5",
            "repairs": (repair(1, "first"), repair(2, "more time for test")),
        }
    )
    assert said(proposal).splitlines() == [
        "[RAG + LLM] more time for test",
        "",
        "Decision: chromadb-reference",
        "Origin: template+model",
        "Template: golden",
        "Model: m5",
        "Repair: timeout_error in test: more time, by rules",
        "Run: http://portal/runs/RUN",
        "",
        trailer(EVENT),
    ]


@pytest.mark.parametrize("mark", ["[skip ci]", "[CI Skip]", "[skip-ci]", "[ci_skip]", "[[skip ci]]", "[skip\nci]"])
def test_no_text_from_outside_keeps_the_pipeline_from_running(mark: str) -> None:
    """A job's name or a model's summary may hold what makes GitLab skip the pipeline."""
    proposal = PROPOSAL.model_copy(update={"repairs": (repair(2, f"mend {mark} it", job=f"a {mark}"),)})
    text = said(proposal).lower()
    assert not any(f"[{words}]" in text for words in ("skip ci", "ci skip", "skip-ci", "ci_skip"))


def test_no_text_from_outside_is_a_trailer() -> None:
    """A line break in a summary or a template's id starts no line of its own: another event's trailer is not forged."""
    forged = trailer("images.seeded.OTHER.1")
    proposal = PROPOSAL.model_copy(update={"template_id": f"x\n{forged}", "repairs": (repair(2, f"a\n{forged}"),)})
    assert forged not in said(proposal).splitlines()


def test_each_file_is_created_or_updated_by_what_the_branch_holds() -> None:
    """The one that is there is updated at the version that was read, the other created."""
    held = Held("main", {".gitlab-ci.yml": "old"}, {".gitlab-ci.yml": "abc"})
    found = [(one.action, one.path, one.last_commit_id) for one in changes(PROPOSAL, held)]
    assert found == [("update", ".gitlab-ci.yml", "abc"), ("create", "Dockerfile", None)]


def test_a_file_that_is_there_unchanged_is_left_out() -> None:
    """Only what differs is written."""
    held = Held(None, {**PROPOSAL.files.by_path(), "Dockerfile": "FROM old"}, {})
    assert [one.path for one in changes(PROPOSAL, held)] == ["Dockerfile"]


def test_nothing_to_change_still_starts_a_pipeline() -> None:
    """A repository that has these very files gets a commit without a difference."""
    [only] = changes(PROPOSAL, Held("main", PROPOSAL.files.by_path()))
    assert (only.action, only.path, only.content) == ("update", ".gitlab-ci.yml", PROPOSAL.files.pipeline)
