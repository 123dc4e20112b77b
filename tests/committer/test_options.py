"""Where and how to commit, as the submission says; over real HTTP and real git where GitLab is concerned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.gitlab.repository import Action, Author
from sandbox.gitlab.server import GitLabServer, serve
from services.committer.service import Deps, commit
from services.committer.settings import Settings
from shared.adapters.git_import import GitImport
from shared.adapters.gitlab import GitLabClient
from shared.adapters.gitlab_merge import GitLabMergeRequests
from shared.errors import Reject
from shared.events import (
    CommitCreated,
    Files,
    ImagesSeeded,
    PipelineFailed,
    Submission,
    new_run_id,
)
from tests.committer.conftest import PROJECT, README, TOKEN
from tests.committer.test_commit_once import FILES, MENDED, deps, log, proposal
from tests.fakes.gitlab import FakeGitLab

ELSEWHERE = "https://elsewhere.example/x"


def asked(run_id: str = "", *, attempt: int = 1, files: Files = FILES, **options: Any) -> ImagesSeeded:
    """The event of a submission with these options."""
    wanted = Submission(**{"repo_url": ELSEWHERE, "project": PROJECT, **options})
    of = proposal(files, submission=wanted)
    return ImagesSeeded(run_id=run_id or new_run_id(), attempt=attempt, proposal=of)


def connected(gitlab: GitLabClient, url: str, **changes: Any) -> Deps:
    """All of it real."""
    values = {"gitlab_url": url, "gitlab_token": TOKEN, "nexus_registry": "registry.example", **changes}
    chosen = Settings(**values)
    return Deps(gitlab, GitLabMergeRequests(gitlab), GitImport(chosen, chosen), chosen)


@pytest.fixture
def real(client: GitLabClient, server: GitLabServer) -> Deps:
    """The sandbox's GitLab through the real clients."""
    return connected(client, server.url, portal_url="http://portal.example/")


async def made(event: ImagesSeeded, on: Deps) -> CommitCreated:
    """What the handler returns, which is a commit."""
    answer = await commit(event, on)
    assert isinstance(answer, CommitCreated)
    return answer


async def get(server: GitLabServer, path: str) -> Any:
    """What the API says, asked with a client of its own."""
    async with GitLabClient.connect(Settings(gitlab_url=server.url, gitlab_token=TOKEN)) as client:
        return await client.call(lambda api: api.http_get(path))


async def test_a_commit_to_a_branch_that_is_named(server: GitLabServer, real: Deps) -> None:
    """The default branch where it is there, another one from the default branch where it is not."""
    assert (await made(asked(branch="main"), real)).commit.branch == "main"
    other = await made(asked(branch="ci/green", files=MENDED), real)
    assert other.commit.branch == "ci/green"
    assert log(server, "ci/green") == [other.commit.sha]


async def test_author_link_and_skip_ci_are_in_the_commit(server: GitLabServer, real: Deps) -> None:
    """Git shows the author; the message links to the run and keeps GitLab from running a pipeline."""
    event = asked(author="Ada Lovelace <ada@example.com>", skip_ci=True)
    answer = await made(event, real)
    [entry] = log(server, answer.commit.branch, "%an <%ae>%n%B")
    author, _, message = entry.partition("\n")
    assert author == "Ada Lovelace <ada@example.com>"
    assert f"Run: http://portal.example/runs/{event.run_id}" in message.splitlines()
    assert "[skip ci]" in message.splitlines()
    [pipeline] = (await real.gitlab.pipelines_of(1, {answer.commit.sha}, answer.at))[answer.commit.sha]
    assert pipeline.status == "skipped"


async def test_what_gitlabs_lint_refuses_is_not_committed(server: GitLabServer, real: Deps) -> None:
    """A failed attempt with GitLab's own words goes to the healer; the branch is not even made."""
    event = asked(files=Files(pipeline="test: {stage: gone, script: [x]}\n", dockerfile="FROM scratch\n"))
    answer = await commit(event, real)
    assert isinstance(answer, PipelineFailed)
    assert (answer.outcome, answer.commit, answer.pipeline.id) == ("yaml_error", None, None)
    assert "gone" in (answer.pipeline.yaml_errors or "")
    assert answer.pipeline.reasons[0].startswith("GitLab's lint refuses the file, nothing was committed: ")
    assert list(await server.forge.repository(server.forge.project(PROJECT)).branches()) == ["main"]


async def test_a_commit_that_is_there_is_not_linted_again() -> None:
    """What was committed before the lint changed its mind is found, not refused."""
    gitlab, event = FakeGitLab(PROJECT), asked()
    first = await made(event, deps(gitlab))
    gitlab.complaints = ("no more",)
    assert (await made(event, deps(gitlab))).commit == first.commit


async def test_an_empty_project_is_made(server: GitLabServer, real: Deps) -> None:
    """Private, in the group that is there, with the two files alone; a second delivery makes nothing."""
    event = asked(project="shop/new", create_project="empty")
    first, second = await made(event, real), await made(event, real)
    assert first.commit == second.commit
    assert first.commit.project_path == "shop/new"
    project = server.forge.project("shop/new")
    assert project["visibility"] == "private"
    tree = await server.forge.repository(project).tree(first.commit.sha)
    assert set(tree) == {".gitlab-ci.yml", "Dockerfile"}


async def test_a_group_that_is_not_there_is_named(real: Deps) -> None:
    """A project is made, a group is not."""
    with pytest.raises(Reject, match="has no group or user nowhere"):
        await commit(asked(project="nowhere/new", create_project="empty"), real)


async def test_a_rival_that_made_the_project_first_is_no_error() -> None:
    """The path is taken, so it is there."""

    class Late(FakeGitLab):
        async def find_project(self, path_or_id: str) -> Any:
            found = await super().find_project(path_or_id)
            return found if self.made else None

    gitlab = Late(PROJECT)
    event = asked(create_project="empty")
    await made(event, deps(gitlab))
    assert gitlab.made == [PROJECT]


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a public repository on another host, with two commits."""
    async with serve(data=tmp_path / "elsewhere", token="glpat-other") as other:
        await other.forge.add_project("open/tool", visibility="public")
        project = await other.create_project("open/tool", files={**README, ".gitlab-ci.yml": b"a: {script: [x]}\n"})
        row = other.forge.project("open/tool")
        await other.forge.commit(row, "main", None, [Action("create", "more", b"x")], "more", Author("a", "a@b.c"))
        yield str(project["http_url_to_repo"])


async def test_a_repository_elsewhere_is_imported(server: GitLabServer, client: GitLabClient, source: str) -> None:
    """Its branch comes with its history over smart HTTP, and greenrun's commit on top of it, on its own branch."""
    policies = {"analyzer_allowed_hosts": "127.0.0.1", "allow_private_addresses": True}
    on = connected(client, server.url, **policies)
    event = asked(repo_url=source, project="shop/tool", create_project="import")
    answer = await made(event, on)
    repository = server.forge.repository(server.forge.project("shop/tool"))
    history = await repository.log(answer.commit.sha)
    assert [one.title for one in history[1:]] == ["more", "Initial commit"]
    [skipped] = [one for one in server.forge.store.list("pipeline") if one["ref"] == "main"]
    assert skipped["status"] == "skipped"
    assert set(await repository.branches()) == {"main", answer.commit.branch}
    assert (await made(event, on)).commit == answer.commit


async def test_what_may_not_be_cloned_is_not_imported(server: GitLabServer, client: GitLabClient, source: str) -> None:
    """The import has the policies of the clone: a host that is not allowed ends the run."""
    event = asked(repo_url=source, project="shop/tool", create_project="import")
    with pytest.raises(Reject, match="not among the hosts that may be cloned from"):
        await commit(event, connected(client, server.url))


async def test_an_import_that_is_not_taken_says_what_the_token_needs(
    server: GitLabServer, client: GitLabClient, source: str
) -> None:
    """The token may make the project and not push: said, with git's words."""
    server.forge.add_token("reader", "glpat-reader", 20)
    policies = {"analyzer_allowed_hosts": "127.0.0.1", "allow_private_addresses": True}
    on = connected(client, server.url, **policies)
    on = replace(on, importer=connected(client, server.url, **policies, gitlab_token="glpat-reader").importer)
    with pytest.raises(Reject, match="needs write_repository"):
        await commit(asked(repo_url=source, project="shop/tool", create_project="import"), on)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *[
            ({"branch": name}, "no name of a branch")
            for name in ("-x", "a..b", "a b", "a/", "x.lock", "refs/heads/a", "a~1")
        ],
        *[({"author": name}, "name with an address") for name in ("Ada", "<a@b.c>", "Ada <ada>", "A\n <a@b.c>")],
        *[({"create_project": "empty", "project": name}, "needs the project's path") for name in (None, "42")],
        ({"create_project": "fork"}, "Input should be"),
        ({"project": "https://oauth2:glpat-x@gitlab.example/a/b.git"}, "carries credentials"),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(options: dict[str, Any], words: str) -> None:
    """Before anything is in the log."""
    with pytest.raises(ValueError, match=words):
        Submission(repo_url=ELSEWHERE, **options)


@pytest.mark.parametrize("name", ["main", "feature/a-b", "1.2.x", "ünï", "a.b/c"])
def test_a_branch_may_be_called_much(name: str) -> None:
    """What git takes is taken."""
    assert Submission(repo_url=ELSEWHERE, branch=name).branch == name
