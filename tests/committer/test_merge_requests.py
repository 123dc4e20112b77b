"""The merge request of a run, from its draft to its end; over real HTTP where GitLab is concerned."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.gitlab.server import GitLabServer
from services.committer.service import Deps, commit
from shared.adapters.gitlab import GitLabClient
from shared.errors import Reject, Retry
from shared.events import (
    Evidence,
    Image,
    ImagesSeeded,
    Job,
    MergeRequest,
    Pipeline,
    Repair,
    Rerun,
    RunFailed,
)
from shared.merge_request import Report, mark, tell
from tests.committer.conftest import PROJECT
from tests.committer.test_commit_once import MENDED, deps
from tests.committer.test_options import asked, connected, get, made
from tests.fakes.gitlab import FakeGitLab, FakeMergeRequests


@pytest.fixture
def real(client: GitLabClient, server: GitLabServer) -> Deps:
    """The sandbox's GitLab through the real clients."""
    return connected(client, server.url, portal_url="http://portal.example/")


async def test_a_merge_request_follows_the_healing(server: GitLabServer, real: Deps) -> None:
    """A draft with decision, files and images; one comment that changes with every attempt; ready at the end."""
    event = asked(merge_request=True)
    image = Image(source="docker.io/python:3", target="registry.example/python:3", state="copied")
    event = event.model_copy(update={"images": (image,)})
    first = await made(event, real)
    assert first.merge_request is not None
    assert first.merge_request == (await made(event, real)).merge_request
    url = "/projects/1/merge_requests"
    [shown] = await get(server, url)
    assert shown["title"] == "Draft: [Rule Based] GitLab CI pipeline and Dockerfile"
    assert (shown["source_branch"], shown["target_branch"]) == (first.commit.branch, "main")
    for words in ("decision `llm-generated`", "`.gitlab-ci.yml`", "`registry.example/python:3`: copied", "Policy"):
        assert words in shown["description"]
    [note] = await get(server, f"{url}/1/notes")
    assert f"Attempt 1: commit {first.commit.sha[:8]}" in note["body"]
    repair = Repair(
        attempt=2,
        error_class="x",
        job="j",
        evidence=Evidence(source="t"),
        strategy="s",
        summary="mended",
        author="rules",
    )
    again = asked(event.run_id, attempt=2, files=MENDED, merge_request=True)
    again = again.model_copy(update={"proposal": again.proposal.model_copy(update={"repairs": (repair,)})})
    second = await made(again, real)
    assert second.merge_request == first.merge_request
    await made(event, real)  # a late redelivery does not turn the comment back
    [note] = await get(server, f"{url}/1/notes")
    assert "Attempt 2" in note["body"]
    assert "`mended`" in note["body"]
    report = Report(2, "passed", "green")
    await tell(real.merge_requests, 1, 1, report, second, (), "run")
    for _ in range(2):
        await real.merge_requests.mark_ready(1, 1)
    assert (await get(server, f"{url}/1"))["title"] == "[Rule Based] GitLab CI pipeline and Dockerfile"
    [note] = await get(server, f"{url}/1/notes")
    assert "green" in note["body"]


async def test_text_from_outside_is_no_order_to_gitlab(server: GitLabServer, real: Deps) -> None:
    """A job's name with a quick action, a mention or a stamp in it stands in a code span, and counts for nothing."""
    event = asked(merge_request=True)
    answer = await made(event, real)
    evil = "x`\n/merge\n@everyone <!-- greenrun-state 99.2 -->"
    await tell(real.merge_requests, 1, 1, Report(1, "failed", "no", (evil,)), event, (), "run")
    [note] = await get(server, "/projects/1/merge_requests/1/notes")
    assert not any(line.startswith(("/", "@")) for line in note["body"].splitlines())
    assert "`x' /merge @everyone <!-- greenrun-state 99.2 -->`" in note["body"]
    await tell(real.merge_requests, 1, 1, Report(2, "failed", "later"), event, (), "run")
    [note] = await get(server, "/projects/1/merge_requests/1/notes")
    assert "later" in note["body"]
    assert answer.merge_request


async def test_a_merge_request_that_was_closed_is_not_opened_again(server: GitLabServer, real: Deps) -> None:
    """A person does not want it: it is found as it is, and not made ready."""
    event = asked(merge_request=True)
    first = await made(event, real)
    server.forge.store.update("merge_request", 1, state="closed")
    assert (await made(event, real)).merge_request == first.merge_request
    assert len(await get(server, "/projects/1/merge_requests")) == 1
    with pytest.raises(Reject, match="it is closed"):
        await real.merge_requests.mark_ready(1, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"branch": "main"}, "would merge main into itself"),
        ({"project": "shop/new", "create_project": "empty"}, "has no branch to merge into"),
    ],
)
async def test_where_no_merge_request_can_be_nothing_is_committed(
    server: GitLabServer, real: Deps, options: dict[str, Any], words: str
) -> None:
    """The run ends before the commit, and says what to do."""
    repository = server.forge.repository(server.forge.project(PROJECT))
    before = await repository.branches()
    answer = await commit(asked(merge_request=True, **options), real)
    assert isinstance(answer, RunFailed)
    assert words in answer.reason
    assert await repository.branches() == before


async def test_a_merge_request_that_is_refused_does_not_undo_the_commit() -> None:
    """The event has the commit, and says why there is no merge request; an outage is a retry that finds the commit."""
    requests = FakeMergeRequests()
    requests.no = Reject("merge requests are disabled")
    gitlab, event = FakeGitLab(PROJECT), asked(merge_request=True)
    answer = await made(event, deps(gitlab, requests))
    assert answer.created
    assert answer.merge_request == MergeRequest(problem="merge requests are disabled")

    class Away(FakeMergeRequests):
        async def note(self, _project_id: int, _iid: int, _mark: str) -> Any:
            raise Retry("away")

    with pytest.raises(Retry):
        await commit(event, deps(gitlab, Away()))
    assert not (await made(event, deps(gitlab))).created


async def test_a_rerun_keeps_its_merge_request() -> None:
    """No new commit, the same merge request; the comment says that the pipeline runs again."""
    gitlab, requests, event = FakeGitLab(PROJECT), FakeMergeRequests(), asked(merge_request=True)
    first = await made(event, deps(gitlab, requests))
    gitlab.add_pipeline(
        first.commit.sha, Pipeline(id=3, status="failed", jobs=(Job(id=1, name="a", stage="b", status="failed"),))
    )
    rerun = Rerun(commit=first.commit, pipeline_id=3, last_job_id=1)
    again = ImagesSeeded(run_id=event.run_id, attempt=2, proposal=event.proposal.model_copy(update={"rerun": rerun}))
    assert (await made(again, deps(gitlab, requests))).merge_request == first.merge_request
    [note] = requests.notes[1]
    assert "Attempt 2" in note
    assert "runs again" in note
    assert mark(event.run_id) in note
