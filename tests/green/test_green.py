"""Generated pipelines that really run: two small projects, one of which has to be healed. `make green` has them all."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench import green, green_upstream
from bench.green_projects import PROJECTS
from sandbox.gitlab.executor_engine import EngineFailed, find_engine
from tests.engine import in_ci

QUICK = ("html5-boilerplate", "rotate")
IMAGES = ("bash", "buildah", "crane", "curl", "nginx", "semgrep", "shellcheck", "trivy")


@pytest.fixture
async def images() -> None:
    """The images of the jobs are there; CI has those that are missing made by the run itself."""
    engine = await find_engine()
    if engine is None or in_ci():
        return
    for name in green_upstream.names(IMAGES):
        short = green_upstream.short(name)
        try:
            await engine.call("image", "inspect", short)
        except EngineFailed:
            pytest.skip(f"there is no image {short}; scripts/job-images.sh makes it")


@pytest.mark.engine
@pytest.mark.usefixtures("images")
async def test_two_projects_are_green_and_the_broken_one_is_healed(tmp_path: Path) -> None:
    """Every job but the one for failures ran in its own image; what was deleted from the registry came back."""
    said = StringIO()
    projects = [project for project in PROJECTS if project.name in QUICK]
    results = await green.run_all(projects, tmp_path, Console(file=said, width=200), IMAGES)
    assert [result.green for result in results] == [True, True], said.getvalue()
    for result in results:
        assert result.run.pipeline is not None
        statuses = {job.name: job.status for job in result.run.pipeline.jobs}
        # A pipeline that runs again keeps the job that told of the failure.
        assert statuses.pop("notify_failure") == ("success" if result.project.broken else "skipped")
        assert set(statuses.values()) == {"success"}
    by_name = {result.project.name: result.run for result in results}
    assert by_name["html5-boilerplate"].repairs == ()
    assert [repair.error_class for repair in by_name["rotate"].repairs] == ["image_not_found"]


def test_every_project_says_what_is_pinned_or_where_its_files_are() -> None:
    """Names are unique, archives have their digest, folders exist, and what is broken says with what."""
    assert len({project.name for project in PROJECTS}) == len(PROJECTS)
    for project in PROJECTS:
        if isinstance(project.source, str):
            assert (green_upstream.ROOT / "bench" / "projects" / project.source).is_dir()
        else:
            assert len(project.source.sha256) == 64
        assert bool(project.broken) == bool(project.change or project.meanwhile)


def test_every_work_alike_says_of_which_image() -> None:
    """The first line names it in full; a stand-in says so in its second."""
    for path in green_upstream.IMAGES.glob("*/Dockerfile"):
        first, second = path.read_text().splitlines()[:2]
        assert first.startswith(("# image: docker.io/", "# image: quay.io/", "# image: gcr.io/"))
        assert second.startswith("# ")
