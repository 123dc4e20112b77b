"""One commit for each event: redelivery, answers that are lost, rivals, and reruns; over real HTTP where it can be."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence

import pytest
from aiohttp import web

from sandbox.gitlab.server import GitLabServer
from services.committer.decide import trailer
from services.committer.service import Deps, commit
from services.committer.settings import Settings
from shared.adapters.git_import import GitImport
from shared.adapters.gitlab import GitLabClient
from shared.errors import Reject, Retry
from shared.events import (
    Commit,
    CommitCreated,
    Evidence,
    Files,
    ImagesSeeded,
    Job,
    Pipeline,
    Proposal,
    Repair,
    Rerun,
    RunFailed,
    Submission,
    new_run_id,
)
from shared.ports import FileChange, GitLab, Message, Project
from tests.committer.conftest import PROJECT, Proxy, drop, settings
from tests.facts import COMMIT, PROPOSAL
from tests.fakes.gitlab import FakeGitLab, FakeMergeRequests

GITLAB = "https://gitlab.example"
PREFIX = "feature/ai-pipeline-"
FILES = Files(pipeline="compile: {stage: build, script: [make]}\n", dockerfile="FROM scratch\n")
MENDED = Files(pipeline="compile: {stage: test, script: [make]}\n", dockerfile="FROM scratch\n")


def proposal(files: Files = FILES, **changes: object) -> Proposal:
    """A proposal for the one project."""
    submission = Submission(repo_url="https://elsewhere.example/x", project=PROJECT)
    return PROPOSAL.model_copy(update={"submission": submission, "files": files, **changes})


def seeded(run_id: str, attempt: int = 1, of: Proposal | None = None) -> ImagesSeeded:
    """The event that the committer reads."""
    return ImagesSeeded(run_id=run_id, attempt=attempt, proposal=of or proposal())


def deps(gitlab: GitLab, merge_requests: FakeMergeRequests | None = None, url: str = GITLAB) -> Deps:
    """With this GitLab."""
    chosen = Settings(gitlab_url=url, nexus_registry="registry.example")
    return Deps(gitlab, merge_requests or FakeMergeRequests(), GitImport(chosen, chosen), chosen)


async def committed(event: ImagesSeeded, gitlab: GitLab) -> CommitCreated:
    """What the handler returns, which is a commit."""
    answer = await commit(event, deps(gitlab))
    assert isinstance(answer, CommitCreated)
    return answer


def log(server: GitLabServer, branch: str, form: str = "%H") -> list[str]:
    """The commits of a branch in the bare repository, as git itself prints them."""
    folder = server.data / "repositories" / "1.git"
    command = ["git", f"--git-dir={folder}", "log", f"--format={form}%x00", f"main..{branch}"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [entry.strip() for entry in printed.split("\0") if entry.strip()]


async def test_both_files_are_on_a_branch_of_the_runs_own(server: GitLabServer, client: GitLabClient) -> None:
    """The branch starts at the default branch, the message has tag and trailer, and nothing else is changed."""
    event = seeded(new_run_id())
    answer = await committed(event, client)
    assert answer.created
    assert answer.commit.branch.startswith(PREFIX)
    held = await client.files_at(1, answer.commit.branch, [".gitlab-ci.yml", "Dockerfile", "README.md"])
    assert held == {**FILES.by_path(), "README.md": "# shop\n"}
    [message] = log(server, answer.commit.branch, "%B")
    assert message.startswith("[Rule Based] ")
    assert message.endswith(trailer(event.subject))


async def test_a_redelivery_finds_the_commit(server: GitLabServer, client: GitLabClient) -> None:
    """The second delivery gives the same commit and makes none."""
    event = seeded(new_run_id())
    first, second = await committed(event, client), await committed(event, client)
    assert (first.created, second.created) == (True, False)
    assert first.commit == second.commit
    assert log(server, first.commit.branch) == [first.commit.sha]


async def test_an_answer_that_was_lost_is_looked_for(server: GitLabServer, proxy: Proxy, behind: GitLabClient) -> None:
    """GitLab made the commit and the connection broke before it said so: one POST, one commit, no error."""
    proxy.after["POST"] = drop
    answer = await committed(seeded(new_run_id()), behind)
    assert log(server, answer.commit.branch) == [answer.commit.sha]
    commits = [line for line in proxy.seen if line == "POST /api/v4/projects/1/repository/commits"]
    assert len(commits) == 1


async def test_a_commit_that_never_arrived_is_retried_by_delivery(
    server: GitLabServer, proxy: Proxy, behind: GitLabClient
) -> None:
    """The connection breaks before GitLab saw it: Retry, never a second POST; the next delivery makes it."""
    event = seeded(new_run_id())
    proxy.before["POST"] = drop
    with pytest.raises(Retry, match="does not answer"):
        await commit(event, deps(behind))
    assert len(proxy.bodies) == 1
    del proxy.before["POST"]
    answer = await committed(event, behind)
    assert answer.created
    assert log(server, answer.commit.branch) == [answer.commit.sha]


async def test_gitlab_gone_right_after_the_commit_is_a_retry(
    server: GitLabServer, proxy: Proxy, behind: GitLabClient
) -> None:
    """Neither the answer nor the look for the trailer comes through: the next delivery finds the commit."""
    event = seeded(new_run_id())

    async def down_from_now(request: web.Request) -> web.Response:
        proxy.before["GET"] = drop
        return await drop(request)

    proxy.after["POST"] = down_from_now
    with pytest.raises(Retry):
        await commit(event, deps(behind))
    proxy.before.clear()
    answer = await committed(event, behind)
    assert not answer.created
    assert log(server, answer.commit.branch) == [answer.commit.sha]


async def test_two_committers_at_once_make_one_commit(server: GitLabServer, client: GitLabClient) -> None:
    """Both get the same event; both answer with the same commit."""
    event = seeded(new_run_id())
    answers = await asyncio.gather(*(committed(event, client) for _ in range(4)))
    assert len({answer.commit.sha for answer in answers}) == 1
    assert len(log(server, answers[0].commit.branch)) == 1


async def test_the_next_attempt_is_the_next_commit_of_the_same_branch(
    server: GitLabServer, client: GitLabClient
) -> None:
    """Only the file that differs is written, and each event has its own commit."""
    run_id = new_run_id()
    first = await committed(seeded(run_id), client)
    second = await committed(seeded(run_id, 2, proposal(MENDED)), client)
    assert second.commit.branch == first.commit.branch
    assert log(server, first.commit.branch) == [second.commit.sha, first.commit.sha]
    assert await client.files_at(1, first.commit.branch, [".gitlab-ci.yml"]) == {".gitlab-ci.yml": MENDED.pipeline}


async def test_the_same_files_again_are_a_commit_that_starts_a_pipeline(
    server: GitLabServer, client: GitLabClient
) -> None:
    """A person's retry brings the same files under the next attempt: a commit without a difference."""
    run_id = new_run_id()
    first = await committed(seeded(run_id), client)
    second = await committed(seeded(run_id, 2), client)
    assert second.created
    assert log(server, first.commit.branch) == [second.commit.sha, first.commit.sha]


async def test_an_update_says_which_version_it_read(proxy: Proxy, behind: GitLabClient) -> None:
    """`last_commit_id` goes over the wire, by which GitLab refuses what a rival overtook."""
    run_id = new_run_id()
    first = await committed(seeded(run_id), behind)
    await committed(seeded(run_id, 2, proposal(MENDED)), behind)
    [action] = proxy.bodies[-1]["actions"]
    assert (action["action"], action["last_commit_id"]) == ("update", first.commit.sha)


class Rival(FakeGitLab):
    """Another committer acts right before the first commit of this one."""

    rival: ImagesSeeded | None = None

    async def commit(
        self, project: Project, branch: str, start_branch: str | None, message: Message, changes: Sequence[FileChange]
    ) -> Commit:
        """First the rival's, once."""
        rival, self.rival = self.rival, None
        if rival:
            await committed(rival, self)
        return await super().commit(project, branch, start_branch, message, changes)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_rival_between_look_and_commit_wins(attempt: int) -> None:
    """The other replica commits after this one looked: GitLab refuses the second, which finds the first."""
    run_id, gitlab = new_run_id(), Rival(PROJECT)
    if attempt > 1:
        await committed(seeded(run_id), gitlab)
    gitlab.rival = event = seeded(run_id, attempt, proposal(MENDED))
    answer = await committed(event, gitlab)
    assert not answer.created
    assert len(gitlab.branches[answer.commit.branch].commits) == attempt


async def test_a_branch_that_moved_is_looked_at_again() -> None:
    """Another attempt's commit makes what was read stale: a retry, not a dead letter, and then both are there."""
    run_id, gitlab = new_run_id(), Rival(PROJECT)
    await committed(seeded(run_id), gitlab)
    other = Files(pipeline="other: {script: [make]}\n", dockerfile=FILES.dockerfile)
    gitlab.rival = seeded(run_id, 2, proposal(MENDED))
    with pytest.raises(Retry, match="moved meanwhile"):
        await commit(seeded(run_id, 3, proposal(other)), deps(gitlab))
    answer = await committed(seeded(run_id, 3, proposal(other)), gitlab)
    assert len(gitlab.branches[answer.commit.branch].commits) == 3


async def test_a_refusal_with_nothing_changed_stays_one(server: GitLabServer) -> None:
    """A token that may only read: Reject with what it needs, and no branch."""
    server.forge.add_token("reader", "glpat-reader", 20)
    async with GitLabClient.connect(settings(server.url, "glpat-reader")) as gitlab:
        with pytest.raises(Reject, match=r"needs the scope api and the role Developer.*protected"):
            await commit(seeded(new_run_id()), deps(gitlab))
    assert list(await server.forge.repository(server.forge.project(PROJECT)).branches()) == ["main"]


async def test_a_repository_elsewhere_ends_the_run() -> None:
    """Without a named project there is nowhere to commit to: the run says what to do."""
    event = seeded(new_run_id(), of=PROPOSAL.model_copy(update={"submission": Submission(repo_url="https://x.org/a")}))
    answer = await commit(event, deps(FakeGitLab(PROJECT)))
    assert isinstance(answer, RunFailed)
    assert answer.phase == "committer"
    assert "https://x.org/a is not on https://gitlab.example" in answer.reason
    assert "--project" in answer.reason


@pytest.mark.parametrize("last_job_id", [7, 0])
async def test_a_rerun_is_asked_for_once(last_job_id: int) -> None:
    """No commit; the pipeline runs again, and a redelivery sees by its newer jobs or its status that it does."""
    gitlab = FakeGitLab(PROJECT)
    failed = Job(id=7, name="compile", stage="build", status="failed")
    gitlab.add_pipeline(COMMIT.sha, Pipeline(id=3, status="failed", jobs=(failed,)))
    rerun = Rerun(commit=COMMIT, pipeline_id=3, last_job_id=last_job_id)
    event = seeded(new_run_id(), 2, proposal(rerun=rerun))
    answers = [await committed(event, gitlab) for _ in range(2)]
    assert gitlab.retried == [3]
    assert [(answer.commit, answer.created) for answer in answers] == [(COMMIT, False)] * 2
    assert list(gitlab.branches) == ["main"]


async def test_a_rerun_that_failed_again_is_not_run_a_third_time() -> None:
    """Delivered late, after the rerun's end: the newer job shows that it was."""
    gitlab = FakeGitLab(PROJECT)
    again = Job(id=8, name="compile", stage="build", status="failed")
    gitlab.add_pipeline(COMMIT.sha, Pipeline(id=3, status="failed", jobs=(again,)))
    await committed(seeded(new_run_id(), 2, proposal(rerun=Rerun(commit=COMMIT, pipeline_id=3, last_job_id=7))), gitlab)
    assert gitlab.retried == []


async def test_the_repair_names_itself(server: GitLabServer, client: GitLabClient) -> None:
    """The second commit's subject is the repair's summary; the trace's own line stays out of history."""
    run_id = new_run_id()
    await committed(seeded(run_id), client)
    repair = Repair(
        attempt=2,
        error_class="invalid_stage",
        job="compile",
        evidence=Evidence(source="trace", text="token glpat-secret"),
        strategy="declared stage",
        summary="compile goes to a stage that exists",
        author="rules",
    )
    answer = await committed(seeded(run_id, 2, proposal(MENDED, repairs=(repair,))), client)
    message = log(server, answer.commit.branch, "%B")[0]
    assert message.splitlines()[0] == "[Rule Based] compile goes to a stage that exists"
    assert "Repair: invalid_stage in compile: declared stage, by rules" in message
    assert "secret" not in message
