"""One contract for the real client over HTTP and for the fake that other tests use."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.gitlab.clock import now
from sandbox.gitlab.server import GitLabServer
from shared.adapters.gitlab import GitLabClient
from shared.errors import Reject
from shared.events import Job, Pipeline
from shared.ports import FileChange, GitLab, Message, Project
from tests.committer.conftest import PROJECT
from tests.fakes.gitlab import FakeGitLab

BRANCH = "feature/contract"
TRAILER = "Greenrun-Event: images.seeded.X.1"
SINCE = datetime.now(UTC) - timedelta(days=1)
CI = "compile: {stage: test, script: [make]}\n"


class World:
    """A GitLab and a way to put a finished pipeline into it."""

    def __init__(self, gitlab: GitLab, server: GitLabServer | None) -> None:
        """`server` is what the real client talks to."""
        self.gitlab = gitlab
        self.server = server

    def add_pipeline(self, sha: str, status: str, jobs: dict[str, str]) -> int:
        """The id of a new pipeline with these jobs and their statuses."""
        if self.server is None:
            return self._faked(sha, status, jobs)
        store = self.server.forge.store
        row = {"project_id": 1, "sha": sha, "ref": BRANCH, "source": "push", "status": status, "yaml_errors": None}
        row |= {"created_at": now(), "updated_at": now(), "started_at": None, "finished_at": None}
        pipeline = store.add("pipeline", row, project=1)["id"]
        for name, ended in jobs.items():
            job = {**row, "pipeline_id": pipeline, "name": name, "stage": "s", "status": ended}
            job |= {"allow_failure": False, "failure_reason": "script_failure"}
            store.append_trace(store.add("job", job, project=1)["id"], f"trace of {name}\n")
        return int(pipeline)

    def _faked(self, sha: str, status: str, jobs: dict[str, str]) -> int:
        assert isinstance(self.gitlab, FakeGitLab)
        number = len(self.gitlab.pipelines) + 1
        made = []
        for key, (name, ended) in enumerate(jobs.items(), number * 1000):
            reason = "script_failure" if ended == "failed" else None
            made.append(Job(id=key, name=name, stage="s", status=ended, failure_reason=reason))
            self.gitlab.traces[key] = f"trace of {name}\n".encode()
        self.gitlab.add_pipeline(sha, Pipeline(id=number, status=status, jobs=tuple(made)))
        return number


@pytest.fixture(params=["real", "fake"])
async def world(request: pytest.FixtureRequest, server: GitLabServer, client: GitLabClient) -> World:
    """The same project in both."""
    if request.param == "fake":
        return World(FakeGitLab(PROJECT, {"README.md": "# shop\n"}), None)
    return World(client, server)


def update(path: str, content: str, last: str | None = None) -> FileChange:
    """A change of a file that is there."""
    return FileChange("update", path, content, last)


async def first(world: World) -> tuple[Project, str]:
    """The project, and the sha of a first commit on the branch."""
    project = await world.gitlab.project(PROJECT)
    changes = [FileChange("create", ".gitlab-ci.yml", CI)]
    commit = await world.gitlab.commit(project, BRANCH, "main", Message(f"[T] one\n\n{TRAILER}"), changes)
    return project, commit.sha


async def test_a_project_is_found_by_path_and_by_id(world: World) -> None:
    """Both name the same project; any other is refused in words that name it."""
    project = await world.gitlab.project(PROJECT)
    assert (project.path, project.default_branch) == (PROJECT, "main")
    assert await world.gitlab.project(str(project.id)) == project
    with pytest.raises(Reject, match="no project shop/gone"):
        await world.gitlab.project("shop/gone")


async def test_files_are_those_of_the_ref(world: World) -> None:
    """What exists comes with content and last commit; a missing file or ref is left out."""
    project, sha = await first(world)
    assert await world.gitlab.files_at(project.id, "main", ["README.md", "Dockerfile"]) == {"README.md": "# shop\n"}
    assert await world.gitlab.files_at(project.id, BRANCH, [".gitlab-ci.yml"]) == {".gitlab-ci.yml": CI}
    assert await world.gitlab.last_commits(project.id, BRANCH, [".gitlab-ci.yml"]) == {".gitlab-ci.yml": sha}
    assert await world.gitlab.files_at(project.id, "gone", ["README.md"]) == {}
    assert await world.gitlab.last_commits(project.id, "gone", ["README.md"]) == {}


async def test_a_commit_is_found_by_its_whole_trailer_line(world: World) -> None:
    """Half a line, another branch, or a branch that does not exist find nothing."""
    project, sha = await first(world)
    found = await world.gitlab.find_commit(project, BRANCH, TRAILER, SINCE)
    assert found is not None
    assert (found.sha, found.branch, found.project_path) == (sha, BRANCH, PROJECT)
    assert await world.gitlab.find_commit(project, BRANCH, TRAILER[:-1], SINCE) is None
    assert await world.gitlab.find_commit(project, "main", TRAILER, SINCE) is None
    assert await world.gitlab.find_commit(project, "gone", TRAILER, SINCE) is None


async def test_a_commit_that_does_not_fit_is_refused_in_gitlabs_words(world: World) -> None:
    """A branch that is there, a file that is there, a file that is not there."""
    project, _ = await first(world)
    commit = world.gitlab.commit
    with pytest.raises(Reject, match=f"A branch called '{BRANCH}' already exists"):
        await commit(project, BRANCH, "main", Message("m"), [update("README.md", "x")])
    with pytest.raises(Reject, match="A file with this name already exists"):
        await commit(project, BRANCH, None, Message("m"), [FileChange("create", "README.md", "x")])
    with pytest.raises(Reject, match="A file with this name doesn't exist"):
        await commit(project, BRANCH, None, Message("m"), [update("gone", "x")])


async def test_the_same_content_is_a_commit_again(world: World) -> None:
    """GitLab takes a commit without a difference: it is how a pipeline is started once more."""
    project, sha = await first(world)
    again = await world.gitlab.commit(project, BRANCH, None, Message("m"), [update(".gitlab-ci.yml", CI)])
    assert again.sha != sha


async def test_the_newest_pipeline_of_a_commit(world: World) -> None:
    """With its jobs in the order of their ids; None for a commit without one."""
    sha = "a" * 40
    world.add_pipeline(sha, "success", {"old": "success"})
    newest = world.add_pipeline(sha, "failed", {"compile": "success", "test": "failed", "late": "skipped"})
    assert await world.gitlab.pipelines_of(1, {"b" * 40}, SINCE) == {}
    listed = await world.gitlab.pipelines_of(1, {sha}, SINCE)
    assert [one.id for one in listed[sha]] == [newest, newest - 1]
    assert await world.gitlab.pipelines_of(1, {sha, "b" * 40}, SINCE) == listed
    assert listed[sha][0].jobs == ()
    found = await world.gitlab.pipeline(1, newest)
    assert (found.id, found.status) == (newest, "failed")
    assert [(job.name, job.status) for job in found.jobs] == [
        ("compile", "success"),
        ("test", "failed"),
        ("late", "skipped"),
    ]
    assert [job.failure_reason for job in found.jobs] == [None, "script_failure", None]
    with pytest.raises(Reject, match="999 is gone"):
        await world.gitlab.pipeline(1, 999)


async def test_a_trace_is_bytes(world: World) -> None:
    """A job's trace; empty for a job that GitLab no longer has."""
    pipeline = await world.gitlab.pipeline(1, world.add_pipeline("a" * 40, "failed", {"test": "failed"}))
    assert await world.gitlab.trace(1, pipeline.jobs[0]) == b"trace of test\n"
    assert await world.gitlab.trace(1, Job(id=999, name="gone", stage="s", status="failed")) == b""


async def test_a_retry_makes_new_jobs(world: World) -> None:
    """The jobs that failed get newer ids, the others stay; the old attempts are no longer listed."""
    project, sha = await first(world)
    for started in (await world.gitlab.pipelines_of(project.id, {sha}, SINCE)).get(sha, ()):
        await ended(world.gitlab, started)
    number = world.add_pipeline(sha, "failed", {"compile": "failed"})
    before = await world.gitlab.pipeline(project.id, number)
    await world.gitlab.retry_pipeline(project.id, number)
    after = await world.gitlab.pipeline(project.id, number)
    assert [job.name for job in after.jobs] == ["compile"]
    assert after.jobs[0].id > before.jobs[0].id


async def ended(gitlab: GitLab, pipeline: Pipeline) -> None:
    """Return once the pipeline is over."""
    async with asyncio.timeout(10):
        while (await gitlab.pipeline(1, pipeline.id or 0)).status in {"created", "pending", "running"}:
            await asyncio.sleep(0.02)
