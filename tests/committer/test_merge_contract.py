"""One contract for GitLab's merge requests over HTTP and for the fake that other tests use."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sandbox.gitlab.server import GitLabServer
from shared.adapters.gitlab import GitLabClient
from shared.adapters.gitlab_merge import GitLabMergeRequests
from shared.errors import Retry
from shared.ports import FileChange, MergeRequests, Message, Project
from tests.committer.conftest import PROJECT
from tests.fakes.gitlab import FakeMergeRequests

BRANCH = "feature/contract"
MARK = "<!-- greenrun-run X -->"


@dataclass(frozen=True)
class World:
    """Merge requests, and a project with a branch to merge."""

    requests: MergeRequests
    project: Project


@pytest.fixture(params=["real", "fake"])
async def world(request: pytest.FixtureRequest, server: GitLabServer, client: GitLabClient) -> World:
    """The same in both."""
    project = await client.project(PROJECT)
    await client.commit(project, BRANCH, "main", Message("m"), [FileChange("create", "a", "b")])
    assert server.url
    return World(FakeMergeRequests() if request.param == "fake" else GitLabMergeRequests(client), project)


async def test_one_that_is_opened_is_found_by_its_mark(world: World) -> None:
    """A draft; a second one of the same branch is a retry, which then finds the first."""
    requests, project = world.requests, world.project
    assert await requests.find(project, BRANCH, MARK) is None
    made = await requests.open(project, BRANCH, "Draft: x", f"text\n\n{MARK}")
    assert (made.iid, made.draft, made.problem) == (1, True, "")
    assert await requests.find(project, BRANCH, MARK) == made
    assert await requests.find(project, BRANCH, "another mark") == made
    assert await requests.find(project, "another branch", MARK) is None
    with pytest.raises(Retry, match="opened meanwhile"):
        await requests.open(project, BRANCH, "Draft: x", MARK)


async def test_a_comment_is_written_once_and_then_replaced(world: World) -> None:
    """Found by its mark, the oldest first; others stay as they are."""
    requests, project = world.requests, world.project
    await requests.open(project, BRANCH, "Draft: x", MARK)
    assert await requests.note(project.id, 1, MARK) is None
    await requests.write_note(project.id, 1, "a person's", None)
    await requests.write_note(project.id, 1, f"ours {MARK}", None)
    await requests.write_note(project.id, 1, f"later {MARK}", None)
    note = await requests.note(project.id, 1, MARK)
    assert note is not None
    assert note.body == f"ours {MARK}"
    await requests.write_note(project.id, 1, f"ours again {MARK}", note)
    again = await requests.note(project.id, 1, MARK)
    assert again is not None
    assert (again.id, again.body) == (note.id, f"ours again {MARK}")


async def test_ready_is_ready_however_often_it_is_said(world: World) -> None:
    """It is no draft any more, and found so."""
    requests, project = world.requests, world.project
    await requests.open(project, BRANCH, "Draft: x", MARK)
    for _ in range(2):
        await requests.mark_ready(project.id, 1)
    found = await requests.find(project, BRANCH, MARK)
    assert found is not None
    assert not found.draft
