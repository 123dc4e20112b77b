"""The sandbox's GitLab as its clients see it: the real python-gitlab and the real git, over HTTP."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import gitlab
import httpx
import pytest
from gitlab.exceptions import GitlabAuthenticationError, GitlabCreateError, GitlabGetError

from sandbox.gitlab.server import serve

from .conftest import IMAGE, PIPELINE, TOKEN, Sandbox, git


async def test_projects_are_made_found_and_removed(sandbox: Sandbox) -> None:
    """By id, by path, by search; a taken path and a missing project in GitLab's words."""

    def work(api: gitlab.Gitlab) -> None:
        api.auth()
        made = api.projects.create({"name": "shop"})
        assert made.path_with_namespace == "root/shop"
        assert made.empty_repo
        assert made.default_branch is None
        assert api.projects.get("root/shop").id == api.projects.get(made.id).id == made.id
        with pytest.raises(GitlabCreateError, match="has already been taken"):
            api.projects.create({"name": "shop"})
        assert [project.id for project in api.projects.list(search="sho", get_all=True)] == [made.id]
        made.delete()
        with pytest.raises(GitlabGetError, match="404 Project Not Found"):
            api.projects.get(made.id)

    await sandbox.client(work)


async def test_commits_do_what_their_actions_say(sandbox: Sandbox) -> None:
    """Create, update, move, chmod, delete in one commit; the tree and the files afterwards."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n", "b/c.py": b"c\n", "run.sh": b"x\n"})

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        actions = [
            {"action": "create", "file_path": "new/d.py", "content": "ZA==", "encoding": "base64"},
            {"action": "update", "file_path": "a.py", "content": "b\n"},
            {"action": "move", "file_path": "b/e.py", "previous_path": "b/c.py"},
            {"action": "chmod", "file_path": "run.sh", "execute_filemode": True},
        ]
        body = {"branch": "f/x", "start_branch": "main", "commit_message": "one\n\nbody", "actions": actions}
        commit = project.commits.create(body)
        assert (commit.title, len(commit.parent_ids)) == ("one", 1)
        assert project.commits.get(commit.id).message == "one\n\nbody"
        entries = project.repository_tree(ref="f/x", recursive=True, all=True)
        assert {entry["path"] for entry in entries if entry["type"] == "tree"} == {"b", "new"}
        tree = {entry["path"]: entry["mode"] for entry in entries if entry["type"] == "blob"}
        assert tree == {"a.py": "100644", "b/e.py": "100644", "new/d.py": "100644", "run.sh": "100755"}
        assert project.files.get("new/d.py", ref="f/x").decode() == b"d"
        assert project.files.get("b/e.py", ref=commit.id).decode() == b"c\n"
        assert project.files.get("a.py", ref="main").decode() == b"a\n"
        delete = {"action": "delete", "file_path": "a.py"}
        project.commits.create({"branch": "f/x", "commit_message": "two", "actions": [delete]})
        with pytest.raises(GitlabGetError, match="404 File Not Found"):
            project.files.get("a.py", ref="f/x")
        assert [one.title for one in project.commits.list(ref_name="f/x", get_all=True)][:2] == ["two", "one"]
        assert {branch.name for branch in project.branches.list(get_all=True)} == {"main", "f/x"}

    await sandbox.client(work)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"branch": "main", "actions": [("create", "a.py")]}, "A file with this name already exists"),
        ({"branch": "main", "actions": [("update", "z.py")]}, "A file with this name doesn't exist"),
        (
            {"branch": "f", "start_branch": "main", "actions": [("create", "z.py")]},
            "A branch called 'f' already exists",
        ),
        (
            {"branch": "none", "actions": [("create", "z.py")]},
            "You can only create or edit files when you are on a branch",
        ),
        ({"branch": "main", "actions": [("create", "../z.py")]}, "invalid path"),
    ],
)
async def test_a_commit_that_does_not_fit_is_refused_in_gitlabs_words(
    sandbox: Sandbox, body: dict[str, Any], words: str
) -> None:
    """400 with the sentence that GitLab gives; the branch stays as it was."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        project.branches.create({"branch": "f", "ref": "main"})
        actions = [{"action": kind, "file_path": path, "content": ""} for kind, path in body["actions"]]
        with pytest.raises(GitlabCreateError, match=words) as refused:
            project.commits.create({"commit_message": "m", **body, "actions": actions})
        assert refused.value.response_code == 400
        assert len(project.commits.list(ref_name="main", get_all=True)) == 1

    await sandbox.client(work)


async def test_a_token_decides_what_is_allowed(sandbox: Sandbox) -> None:
    """No token 401, a guest's push 403, a developer's goes through."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})
    sandbox.server.forge.add_token("guest", "glpat-guest", 10)
    sandbox.server.forge.add_token("dev", "glpat-dev", 30)

    def push(api: gitlab.Gitlab) -> None:
        action = {"action": "update", "file_path": "a.py", "content": "b\n"}
        api.projects.get("g/p").commits.create({"branch": "main", "commit_message": "m", "actions": [action]})

    with pytest.raises(GitlabAuthenticationError, match="401"):
        await sandbox.client(push, token="wrong")
    with pytest.raises(GitlabCreateError, match="You are not allowed to push into this branch"):
        await sandbox.client(push, token="glpat-guest")
    await sandbox.client(push, token="glpat-dev")


async def test_pages_are_linked(sandbox: Sandbox) -> None:
    """python-gitlab's get_all and iterator see all of them; the headers count."""
    await sandbox.server.create_project("g/p", files={f"f{n:03}.py": b"" for n in range(130)})

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        assert len(project.repository_tree(all=True, per_page=50)) == 130
        assert sum(1 for _ in project.repository_tree(iterator=True, per_page=40)) == 130
        assert len(project.repository_tree(per_page=50, get_all=False)) == 50

    await sandbox.client(work)
    async with httpx.AsyncClient(headers={"PRIVATE-TOKEN": TOKEN}) as client:
        url = f"{sandbox.server.url}/api/v4/projects/g%2Fp/repository/tree"
        answer = await client.get(url, params={"per_page": 50, "page": 2})
    assert (answer.headers["X-Total"], answer.headers["X-Next-Page"], answer.headers["X-Total-Pages"]) == (
        "130",
        "3",
        "3",
    )


async def test_a_good_file_gives_a_pipeline_that_says_it_was_checked(with_registry: Sandbox) -> None:
    """Statuses, stages and traces; the first line of each trace says what happened."""
    sandbox = with_registry
    image = f"{sandbox.registry}/{IMAGE}"
    state = await sandbox.pipeline(PIPELINE + f"default: {{image: '{image}'}}\n")
    assert state["pipeline"].status == "success"
    assert {name: (job.stage, job.status) for name, job in state["jobs"].items()} == {
        "one": ("a", "success"),
        "two": ("b", "success"),
    }
    trace = await sandbox.client(lambda _api: state["project"].jobs.get(state["jobs"]["one"].id).trace().decode())
    assert "check" in trace.splitlines()[0]
    async with httpx.AsyncClient() as client:
        for url in (state["pipeline"].web_url, state["jobs"]["one"].web_url):
            assert "success" in (await client.get(url)).text


async def test_files_that_gitlab_refuses_or_filters(sandbox: Sandbox) -> None:
    """A YAML error: failed, no jobs. Rules that leave every job out: no pipeline. `[skip ci]`: skipped."""
    broken = await sandbox.pipeline("one: {stage: nowhere, script: [x]}\n")
    assert (broken["pipeline"].status, broken["jobs"]) == ("failed", {})
    assert "chosen stage nowhere does not exist" in broken["pipeline"].yaml_errors
    assert await sandbox.pipeline("one: {script: [x], rules: [{if: '$NEVER'}]}\n") == {}
    skipped = await sandbox.pipeline(PIPELINE, message="files [skip ci]")
    assert (skipped["pipeline"].status, skipped["jobs"]) == ("skipped", {})


async def test_a_missing_image_fails_and_a_retry_passes_once_it_is_there(with_registry: Sandbox) -> None:
    """In the words of the real runner; the retry has new jobs, the old ones are its history."""
    sandbox = with_registry
    host = sandbox.registry
    state = await sandbox.pipeline(f"one: {{image: '{host}/tool:1', script: [x]}}\n")
    assert (state["pipeline"].status, state["jobs"]["one"].status) == ("failed", "failed")
    trace = await sandbox.client(lambda _: state["project"].jobs.get(state["jobs"]["one"].id).trace().decode())
    assert "manifest unknown" in trace
    source, target = f"docker://{host}/{IMAGE}", f"docker://{host}/tool:1"
    copy = ["skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", source, target]
    await asyncio.to_thread(subprocess.run, copy, check=True, capture_output=True, timeout=60)
    await sandbox.client(lambda _: state["pipeline"].retry())
    again = await sandbox.ended(state["project"].id, state["pipeline"].sha)
    assert (again["pipeline"].id, again["pipeline"].status) == (state["pipeline"].id, "success")
    assert again["jobs"]["one"].id > state["jobs"]["one"].id
    every = await sandbox.client(lambda _: again["pipeline"].jobs.list(include_retried=True, get_all=True))
    assert [job.status for job in every] == ["success", "failed"]


async def test_lint_says_what_a_push_would(sandbox: Sandbox) -> None:
    """Valid with its jobs, or the error that the pipeline would have."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})

    def lint(api: gitlab.Gitlab, text: str) -> Any:
        return api.projects.get("g/p").ci_lint.create({"content": text})

    good = await sandbox.client(lambda api: lint(api, PIPELINE))
    assert (good.valid, [job["name"] for job in good.jobs]) == (True, ["one", "two"])
    bad = await sandbox.client(lambda api: lint(api, "one: {stage: test}\n"))
    assert (bad.valid, bad.errors) == (
        False,
        [
            "jobs config should contain at least one visible job",
            "jobs:one config should implement the script:, run:, or trigger: keyword",
        ],
    )


async def test_git_clones_and_pushes(sandbox: Sandbox, tmp_path: Path) -> None:
    """With the token as password; without one the private project is not there. A push starts a pipeline."""
    project = await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})
    plain = str(project["http_url_to_repo"])
    assert "could not read Username" in await git(tmp_path, "clone", plain, "no", fails=True)
    await git(tmp_path, "clone", "-q", "--filter=blob:none", plain.replace("://", f"://u:{TOKEN}@"), "work")
    (tmp_path / "work" / ".gitlab-ci.yml").write_text(PIPELINE)
    for argv in (("checkout", "-qb", "f"), ("add", "-A"), ("commit", "-qm", "ci"), ("push", "-q", "origin", "f")):
        await git(tmp_path / "work", *argv)
    sha = (await git(tmp_path / "work", "rev-parse", "HEAD")).strip()
    async with asyncio.timeout(20):  # git has its answer before the pipeline is made
        while not (state := await sandbox.ended(project["id"], sha)):
            await asyncio.sleep(0.02)
    assert (state["pipeline"].ref, state["pipeline"].status) == ("f", "success")


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    """Projects, pipelines, jobs and traces; what was running has lost its runner."""
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as server:
        await server.create_project("g/p", files={".gitlab-ci.yml": PIPELINE.encode()})
        async with asyncio.timeout(20):
            while server.forge.store.list("pipeline")[0]["status"] != "success":
                await asyncio.sleep(0.02)
        pipeline = server.forge.store.list("pipeline")[0]
        job = server.forge.pipelines.jobs(pipeline["id"])[0]
        server.forge.store.update("pipeline", pipeline["id"], status="running")
        server.forge.store.update("job", job["id"], status="running")
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as server:
        assert server.forge.project("g/p")["path"] == "p"
        assert server.forge.store.list("pipeline")[0]["status"] == "failed"
        lost = server.forge.store.get("job", job["id"]) or {}
        assert (lost["status"], lost["failure_reason"]) == ("failed", "runner_system_failure")
        assert server.forge.store.trace(job["id"])
