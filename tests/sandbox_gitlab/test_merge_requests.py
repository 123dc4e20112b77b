"""Merge requests and comments, as python-gitlab's users go through them."""

from __future__ import annotations

from typing import Any

import gitlab
import pytest
from gitlab.exceptions import GitlabCreateError, GitlabGetError, GitlabMRClosedError

from .conftest import Sandbox


async def prepared(sandbox: Sandbox) -> None:
    """A project with a branch that changes one file and adds another."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})

    def work(api: gitlab.Gitlab) -> None:
        actions = [
            {"action": "update", "file_path": "a.py", "content": "b\n"},
            {"action": "create", "file_path": "n.py", "content": "n\n"},
        ]
        body = {"branch": "f", "start_branch": "main", "commit_message": "change", "actions": actions}
        api.projects.get("g/p").commits.create(body)

    await sandbox.client(work)


def opened(api: gitlab.Gitlab, **more: Any) -> Any:
    """A merge request of that branch."""
    fields = {"source_branch": "f", "target_branch": "main", "title": "Draft: pipeline", **more}
    return api.projects.get("g/p").mergerequests.create(fields)


async def test_a_draft_is_opened_described_made_ready_and_merged(sandbox: Sandbox) -> None:
    """The whole life of a merge request, its commits and changes, and the file on the target branch at the end."""
    await prepared(sandbox)

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        made = opened(api, description="why", labels="ci,greenrun", remove_source_branch=True)
        assert (made.iid, made.state, made.draft, made.work_in_progress) == (1, "opened", True, True)
        assert made.web_url == f"{api.url}/g/p/-/merge_requests/1"
        assert (made.detailed_merge_status, made.labels) == ("draft_status", ["ci", "greenrun"])
        assert [commit.title for commit in made.commits()] == ["change"]
        assert sorted(one["new_path"] for one in made.changes()["changes"]) == ["a.py", "n.py"]
        with pytest.raises(GitlabMRClosedError, match="405"):
            made.merge()
        made.title, made.description = "pipeline", "because"
        made.save()
        again = project.mergerequests.get(1)
        assert (again.draft, again.title, again.description) == (False, "pipeline", "because")
        assert (again.detailed_merge_status, again.has_conflicts) == ("mergeable", False)
        assert again.sha == project.branches.get("f").commit["id"]
        again.merge()
        merged = project.mergerequests.get(1)
        assert (merged.state, merged.sha) == ("merged", again.sha)
        newest = project.commits.list(ref_name="main", get_all=True)[0]
        assert (newest.id, newest.message.splitlines()[-1]) == (merged.merge_commit_sha, "See merge request g/p!1")
        assert project.files.get("n.py", ref="main").decode() == b"n\n"
        assert [branch.name for branch in project.branches.list(get_all=True)] == ["main"]

    await sandbox.client(work)


async def test_a_second_one_for_the_branch_and_other_refusals(sandbox: Sandbox) -> None:
    """409 with the number of the first, 422 onto itself, 400 for what is missing, 404 for another number."""
    await prepared(sandbox)

    def work(api: gitlab.Gitlab) -> None:
        opened(api)
        with pytest.raises(GitlabCreateError, match=r"Another open merge request already exists.*!1") as refused:
            opened(api)
        assert refused.value.response_code == 409
        with pytest.raises(GitlabCreateError, match="same project/branch for source and target") as refused:
            opened(api, source_branch="main")
        assert refused.value.response_code == 422
        with pytest.raises(GitlabCreateError, match="does not exist"):
            opened(api, source_branch="none")
        answer = api.http_request(
            "post", "/projects/g%2Fp/merge_requests", post_data={"title": "x"}, obey_rate_limit=False
        )
        raise AssertionError(answer)

    with pytest.raises(gitlab.GitlabHttpError, match="source_branch is missing, target_branch is missing"):
        await sandbox.client(work)
    with pytest.raises(GitlabGetError, match="404 Not Found"):
        await sandbox.client(lambda api: api.projects.get("g/p").mergerequests.get(7))


async def test_they_are_listed_closed_and_opened_again(sandbox: Sandbox) -> None:
    """Filters by state and branch; a closed one makes room for another, and cannot come back beside it."""
    await prepared(sandbox)

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        first = opened(api)
        first.state_event = "close"
        first.save()
        second = opened(api, title="ready")
        found = {
            state: [one.iid for one in project.mergerequests.list(state=state, get_all=True)]
            for state in ("opened", "closed", "all")
        }
        assert found == {"opened": [2], "closed": [1], "all": [2, 1]}
        assert [one.iid for one in project.mergerequests.list(source_branch="f", wip="no", get_all=True)] == [2]
        assert project.mergerequests.list(source_branch="main", get_all=True) == []
        with pytest.raises(gitlab.GitlabUpdateError, match="Another open merge request"):
            project.mergerequests.update(1, {"state_event": "reopen"})
        second.delete()
        project.mergerequests.update(1, {"state_event": "reopen"})
        assert project.mergerequests.get(1).state == "opened"

    await sandbox.client(work)


async def test_a_conflict_is_told_and_not_merged(sandbox: Sandbox) -> None:
    """The same line changed on both branches: cannot_be_merged, and 406 on trying."""
    await prepared(sandbox)

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        action = {"action": "update", "file_path": "a.py", "content": "c\n"}
        project.commits.create({"branch": "main", "commit_message": "other", "actions": [action]})
        made = opened(api, title="ready")
        assert (made.has_conflicts, made.merge_status, made.detailed_merge_status) == (
            True,
            "cannot_be_merged",
            "conflict",
        )
        with pytest.raises(gitlab.GitlabMRClosedError, match="406 Branch cannot be merged"):
            made.merge()

    await sandbox.client(work)


async def test_one_comment_is_kept_up_to_date(sandbox: Sandbox) -> None:
    """Created, changed by who wrote it and by nobody else, listed newest first, removed; a blank one refused."""
    await prepared(sandbox)
    sandbox.server.forge.add_token("dev", "glpat-dev", 30)
    sandbox.server.forge.add_token("other", "glpat-other", 30)

    def work(api: gitlab.Gitlab) -> None:
        made = opened(api)
        note = made.notes.create({"body": "attempt 1"})
        made.notes.create({"body": "by the way"})
        note.body = "attempt 2"
        note.save()
        assert [one.body for one in made.notes.list(get_all=True)] == ["by the way", "attempt 2"]
        assert [one.body for one in made.notes.list(sort="asc", get_all=True)] == ["attempt 2", "by the way"]
        assert (note.author["username"], note.noteable_iid, note.system) == ("dev", 1, False)
        with pytest.raises(GitlabCreateError, match="can't be blank"):
            made.notes.create({"body": " "})
        assert api.projects.get("g/p").mergerequests.get(1).user_notes_count == 2

    def by_another(api: gitlab.Gitlab) -> None:
        note = api.projects.get("g/p").mergerequests.get(1).notes.list(sort="asc", get_all=True)[0]
        note.body = "not mine"
        note.save()

    await sandbox.client(work, token="glpat-dev")
    with pytest.raises(gitlab.GitlabUpdateError, match="403"):
        await sandbox.client(by_another, token="glpat-other")
    await sandbox.client(lambda api: api.projects.get("g/p").mergerequests.get(1).notes.list(get_all=True)[0].delete())
    left = await sandbox.client(lambda api: api.projects.get("g/p").mergerequests.get(1).notes.list(get_all=True))
    assert [note.body for note in left] == ["attempt 2"]


async def test_who_took_part_and_which_pipelines_ran(sandbox: Sandbox) -> None:
    """Its author and who commented; the pipelines of its branch, the newest as its head pipeline."""
    await prepared(sandbox)
    sandbox.server.forge.add_token("dev", "glpat-dev", 30)

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        made = opened(api)
        action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": "a: {script: [x]}\n"}
        commit = project.commits.create({"branch": "f", "commit_message": "ci", "actions": [action]})
        [pipeline] = made.pipelines.list(get_all=True)
        found = project.mergerequests.get(made.iid)
        assert (pipeline.sha, found.head_pipeline["id"], found.sha) == (commit.id, pipeline.id, commit.id)

    await sandbox.client(work)
    await sandbox.client(
        lambda api: api.projects.get("g/p").mergerequests.get(1).notes.create({"body": "x"}), token="glpat-dev"
    )
    seen = await sandbox.client(lambda api: api.projects.get("g/p").mergerequests.get(1).participants(get_all=True))
    assert [one["username"] for one in seen] == ["root", "dev"]
