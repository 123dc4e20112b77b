"""What lies in a repository, through python-gitlab: files, branches, tags, comparisons, and refused commits."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import gitlab
import pytest
from gitlab.exceptions import GitlabCreateError, GitlabDeleteError, GitlabGetError, GitlabHttpError

from .conftest import PIPELINE, Sandbox

AUTHOR = {"author_name": "Bot", "author_email": "bot@example.com"}


def commit(project: Any, branch: str, *actions: dict[str, Any], **more: Any) -> Any:
    """One commit."""
    return project.commits.create({"branch": branch, "commit_message": "m", "actions": list(actions), **more})


async def test_a_file_knows_who_changed_it_last(sandbox: Sandbox) -> None:
    """`last_commit_id` is the commit that touched the file; an update over a newer one is refused, and goes on."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n", "b.py": b"b\n"})

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        first = project.files.get("a.py", ref="main")
        second = commit(project, "main", {"action": "update", "file_path": "b.py", "content": "c\n"})
        again = project.files.get("a.py", ref="main")
        assert again.last_commit_id == first.last_commit_id != second.id == again.commit_id
        assert project.files.get("b.py", ref="main").last_commit_id == second.id
        stale = {"action": "update", "file_path": "b.py", "content": "d\n", "last_commit_id": first.last_commit_id}
        with pytest.raises(GitlabCreateError, match="file that has changed since you started editing it"):
            commit(project, "main", stale)
        commit(project, "main", {**stale, "last_commit_id": second.id})
        assert project.files.get("b.py", ref="main").decode() == b"d\n"

    await sandbox.client(work)


async def test_single_files_are_written_saved_and_deleted(sandbox: Sandbox) -> None:
    """python-gitlab's file manager: create, save, raw, head, delete."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        body = {"file_path": "dir/n.txt", "branch": "main", "content": "one", "commit_message": "new", **AUTHOR}
        project.files.create(body)
        found = project.files.get("dir/n.txt", ref="main")
        assert (found.decode(), found.size, found.execute_filemode) == (b"one", 3, False)
        found.content = "two"
        found.save(branch="main", commit_message="change")
        assert project.files.raw(file_path="dir/n.txt", ref="main") == b"two"
        assert project.files.head("dir/n.txt", ref="main")["X-Gitlab-Size"] == "3"
        assert project.repository_raw_blob(project.files.get("dir/n.txt", ref="main").blob_id) == b"two"
        found.delete(branch="main", commit_message="gone")
        with pytest.raises(GitlabGetError, match="404 File Not Found"):
            project.files.get("dir/n.txt", ref="main")
        [newest, *_] = project.commits.list(ref_name="main", get_all=True)
        assert (newest.title, project.commits.list(ref_name="main", get_all=True)[2].author_name) == ("gone", "Bot")

    await sandbox.client(work)


async def test_a_branch_is_started_moved_by_force_and_removed(sandbox: Sandbox) -> None:
    """start_branch, start_sha, force; the default branch stays; names that git refuses."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})
    new = {"action": "create", "file_path": "n.py", "content": ""}

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        base = project.branches.get("main").commit["id"]
        commit(project, "f", new, start_branch="main")
        moved = commit(project, "f", {**new, "file_path": "o.py"}, start_branch="main", force=True)
        assert (moved.parent_ids, moved.stats) == ([base], {"additions": 0, "deletions": 0, "total": 0})
        assert {entry["path"] for entry in project.repository_tree(ref="f", get_all=True)} == {"a.py", "o.py"}
        commit(project, "s", new, start_sha=base)
        with pytest.raises(GitlabCreateError, match="can't pass both start_branch and start_sha"):
            commit(project, "t", new, start_sha=base, start_branch="main")
        with pytest.raises(GitlabCreateError, match="Cannot find start_sha"):
            commit(project, "t", new, start_sha="0" * 40)
        with pytest.raises(GitlabCreateError, match=r"actions\[0\]\[action\] does not have a valid value"):
            commit(project, "main", {**new, "action": "touch"})
        with pytest.raises(GitlabHttpError, match="branch is missing, commit_message is missing"):
            api.http_post("/projects/g%2Fp/repository/commits", post_data={"actions": []})
        with pytest.raises(GitlabCreateError, match="Branch already exists"):
            project.branches.create({"branch": "f", "ref": "main"})
        with pytest.raises(GitlabCreateError, match="Branch name is invalid"):
            project.branches.create({"branch": "a..b", "ref": "main"})
        with pytest.raises(GitlabDeleteError, match="Cannot remove HEAD branch"):
            project.branches.delete("main")
        project.branches.delete("f")
        assert [branch.name for branch in project.branches.list(get_all=True)] == ["main", "s"]
        assert [branch.name for branch in project.branches.list(search="^ma", get_all=True)] == ["main"]

    await sandbox.client(work)


async def test_tags_and_their_pipelines(sandbox: Sandbox) -> None:
    """Light and annotated tags; a tag's pipeline says that it is one, and `only: tags` sees it."""
    text = "a: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}\nb: {script: [x], only: [tags]}\n"
    await sandbox.server.create_project("g/p", files={".gitlab-ci.yml": text.encode()})

    def work(api: gitlab.Gitlab) -> str:
        project = api.projects.get("g/p")
        assert project.pipelines.list(get_all=True) == []
        tag = project.tags.create({"tag_name": "v1", "ref": "main", "message": "the first"})
        assert (tag.message, tag.target) == ("the first", project.branches.get("main").commit["id"])
        project.tags.create({"tag_name": "light", "ref": "main"})
        assert {one.name: one.message for one in project.tags.list(get_all=True)} == {"v1": "the first", "light": ""}
        with pytest.raises(GitlabCreateError, match="Tag v1 already exists"):
            project.tags.create({"tag_name": "v1", "ref": "main"})
        project.tags.delete("light")
        assert [one.name for one in project.tags.list(get_all=True)] == ["v1"]
        return str(tag.target)

    sha = await sandbox.client(work)
    state = await sandbox.ended(1, sha)
    assert (state["pipeline"].tag, set(state["jobs"])) == (True, {"a", "b"})


async def test_what_differs_and_what_a_commit_says(sandbox: Sandbox) -> None:
    """Compare, diff, refs, statuses, trailers, merge base, archive."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\nb\nc\nd\n", ".gitlab-ci.yml": PIPELINE.encode()})

    def work(api: gitlab.Gitlab) -> tuple[int, str]:
        project = api.projects.get("g/p")
        actions = [
            {"action": "move", "file_path": "z.py", "previous_path": "a.py"},
            {"action": "create", "file_path": "n.py", "content": "n\n"},
        ]
        body = {"branch": "f", "start_branch": "main", "actions": actions}
        made = project.commits.create({**body, "commit_message": "t\n\nbody\n\nGreenrun-Event: 1\nCo-By: x\n"})
        assert project.commits.get(made.id).trailers == {"Greenrun-Event": "1", "Co-By": "x"}
        between: Any = project.repository_compare("main", "f")
        assert [one["id"] for one in between["commits"]] == [made.id]
        assert {(one["old_path"], one["new_path"], one["renamed_file"]) for one in between["diffs"]} == {
            ("a.py", "z.py", True),
            ("n.py", "n.py", False),
        }
        [added] = [one for one in made.diff(get_all=True) if one["new_path"] == "n.py"]
        assert (added["new_file"], added["diff"]) == (True, "@@ -0,0 +1 @@\n+n\n")
        assert [ref["name"] for ref in made.refs(get_all=True)] == ["f"]
        main = project.branches.get("main").commit["id"]
        base: Any = project.repository_merge_base(["main", "f"])
        assert base["id"] == main
        with tarfile.open(fileobj=io.BytesIO(project.repository_archive(sha="f"))) as packed:
            assert f"p-{made.id}/z.py" in packed.getnames()
        return project.id, made.id

    project_id, sha = await sandbox.client(work)
    await sandbox.ended(project_id, sha)

    def after(api: gitlab.Gitlab) -> None:
        found = api.projects.get("g/p").commits.get(sha)
        assert (found.status, found.last_pipeline["sha"]) == ("success", sha)
        assert {one.name: one.status for one in found.statuses.list(get_all=True)} == {
            "one": "success",
            "two": "success",
        }

    await sandbox.client(after)


async def test_projects_in_groups(sandbox: Sandbox) -> None:
    """A group by path, a project in it, with a README; changed; searched; names that cannot be."""

    def work(api: gitlab.Gitlab) -> None:
        group = api.groups.create({"name": "Team", "path": "team"})
        sub = api.groups.create({"name": "Sub", "path": "sub", "parent_id": group.id})
        assert api.namespaces.get("team/sub").id == sub.id
        body = {"name": "My Shop", "namespace_id": sub.id, "initialize_with_readme": True, "description": "d"}
        made = api.projects.create(body)
        assert (made.path_with_namespace, made.name, made.default_branch) == ("team/sub/my-shop", "My Shop", "main")
        assert (made.namespace["full_path"], made.permissions["project_access"]["access_level"]) == ("team/sub", 50)
        assert made.files.get("README.md", ref="main").decode() == b"# My Shop\n"
        made.description = "other"
        made.save()
        assert api.projects.get("team/sub/my-shop").description == "other"
        assert [one.id for one in api.projects.list(search="my shop", get_all=True)] == [made.id]
        assert api.projects.list(search="nothing", get_all=True) == []
        with pytest.raises(GitlabCreateError, match="can contain only letters"):
            api.projects.create({"name": "x", "path": "../x"})
        with pytest.raises(GitlabCreateError, match="is not valid"):
            api.projects.create({"name": "x", "namespace_id": 999})
        with pytest.raises(GitlabCreateError, match="name, path are missing"):
            api.projects.create({"path": ""})
        with pytest.raises(GitlabGetError, match="404 Namespace Not Found"):
            api.namespaces.get("nowhere")

    await sandbox.client(work)
