"""From a repository URL to a green pipeline: what is in the log, in git, in the registry and in Chroma afterwards."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import httpx
import nats
import pytest

from shared.adapters.templates import ChromaTemplates
from shared.ci.parameters import with_registry
from shared.events import (
    COMMIT_TAGS,
    CommitCreated,
    Files,
    FilesGenerated,
    ImagesSeeded,
    RunFailed,
    TemplateResolved,
    TemplateStored,
)
from shared.history import fold
from shared.settings import ChromaSettings
from tests.analyzer.stacks import STACKS
from tests.e2e.conftest import HAPPY, System, types
from tests.e2e.packages import npm_package, pypi_sdist

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
SAMPLES = Path(__file__).parents[2] / "greenrun" / "samples"


async def _project(system: System, path: str, folder: Path) -> str:
    """The clone URL of a new project with the folder's files."""
    project = await system.gitlab.create_project(path, from_dir=folder)
    return str(project["http_url_to_repo"])


async def _raw(system: System, project_id: int, path: str, ref: str) -> str:
    """A file as GitLab has it at a commit."""
    name = path.replace("/", "%2F")
    url = f"{system.gitlab.url}/api/v4/projects/{project_id}/repository/files/{name}/raw"
    async with httpx.AsyncClient() as client:
        headers = {"PRIVATE-TOKEN": system.gitlab.token}
        return (await client.get(url, params={"ref": ref}, headers=headers)).raise_for_status().text


async def _assert_kept(system: System, run_id: str) -> None:
    """What the log claims is so outside: the commit's files, every image, the template; one event per subject."""
    records = await system.bus.history(run_id)
    assert max(Counter(recorded.subject for recorded in records).values()) == 1
    assert all(recorded.cause for recorded in records[1:])
    commit = next(r.event for r in reversed(records) if isinstance(r.event, CommitCreated))
    for path, content in commit.proposal.files.by_path().items():
        assert await _raw(system, commit.commit.project_id, path, commit.commit.sha) == content
    seeded = next(r.event for r in reversed(records) if isinstance(r.event, ImagesSeeded))
    assert seeded.images
    async with httpx.AsyncClient() as client:
        for image in seeded.images:
            host, _, rest = image.target.partition("/")
            repository, _, tag = rest.rpartition(":")
            accept = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}
            accept["Accept"] += ", application/vnd.docker.distribution.manifest.v2+json"
            answer = await client.head(f"http://{host}/v2/{repository}/manifests/{tag}", headers=accept)
            assert answer.status_code == 200, image
    stored = next(r.event for r in records if isinstance(r.event, TemplateStored))
    async with ChromaTemplates.connect(ChromaSettings(**system.local.values)) as chroma:
        template = await chroma.get(stored.template_id)
    assert template is not None
    stored_files = Files(pipeline=template.pipeline or "", dockerfile=template.dockerfile or "")
    assert with_registry(stored_files, system.local.values["nexus_registry"]) == commit.proposal.files


async def test_a_failed_pipeline_is_healed_and_the_next_repository_starts_from_what_was_learned(
    system: System,
) -> None:
    """The demo's two repositories: a pin that no registry has is corrected, then the template is a direct hit."""
    run_id = await system.submit(await _project(system, "demo/flask-shop", SAMPLES / "flask-shop"))
    records = await system.end(run_id)
    healed = ["pipeline.failed", *HAPPY[HAPPY.index("files.generated") :]]
    assert types(records) == [*HAPPY[:6], *healed]
    run = fold(records)
    assert (run.status, run.attempt, [repair.error_class for repair in run.repairs]) == (
        "passed",
        2,
        ["image_not_found"],
    )
    await _assert_kept(system, run_id)

    second = await system.submit(await _project(system, "demo/flask-notes", SAMPLES / "flask-notes"))
    records = await system.end(second)
    assert types(records) == HAPPY
    resolved = next(r.event for r in records if isinstance(r.event, TemplateResolved))
    generated = next(r.event for r in records if isinstance(r.event, FilesGenerated))
    assert (resolved.decision, generated.proposal.tag) == ("chromadb-direct", "[RAG Template]")
    await _assert_kept(system, second)


@pytest.mark.parametrize(
    ("source", "requirement", "language", "framework"),
    [("pypi", "httpbin==0.10.2", "python", "flask"), ("npm", "json-server@0.17.4", "javascript", "express")],
)
async def test_a_project_that_nobody_here_wrote_becomes_green(
    system: System, tmp_path: Path, source: str, requirement: str, language: str, framework: str
) -> None:
    """A source archive of a package registry, put on GitLab as it is."""
    if source == "npm" and not shutil.which("npm"):
        pytest.skip("npm is not installed, so there is no package to take")
    folder = (pypi_sdist if source == "pypi" else npm_package)(requirement, tmp_path)
    name = requirement.replace("==", "-").replace("@", "-").replace(".", "-")
    run_id = await system.submit(await _project(system, f"real/{name}", folder))
    records = await system.end(run_id)
    assert types(records) == HAPPY, records[-1].event
    analysis = fold(records).files
    assert analysis is not None
    resolved = next(r.event for r in records if isinstance(r.event, TemplateResolved))
    assert (resolved.analysis.language, resolved.analysis.framework) == (language, framework)
    await _assert_kept(system, run_id)


@pytest.mark.parametrize(
    "name",
    [
        *("spring boot with maven and a wrapper", "ktor by gradle's catalogue", "gin with a command", "actix"),
        *("laravel with pages by vite", "aspnet below the root", "phoenix", "clojure with leiningen", "hugo"),
        *("play with sbt", "vapor", "haskell", "c++ with cmake", "shell", "plain pages", "deno with fresh"),
        *("vite with react is built by vite", "the only project is below the root", "fastapi with uv"),
    ],
)
async def test_every_kind_of_stack_gets_a_green_pipeline(system: System, name: str) -> None:
    """From the smallest repository of the kind to a template; nothing had to be healed."""
    files, _ = STACKS[name]
    path = re.sub(r"[^a-z]+", "-", name).strip("-")
    contents = {file: text.encode() for file, text in files.items()}
    project = await system.gitlab.create_project(f"stacks/{path}", files=contents)
    records = await system.end(await system.submit(str(project["http_url_to_repo"])))
    assert types(records) == HAPPY, records[-1].event


async def test_another_project_with_a_merge_request(system: System) -> None:
    """The repository is imported to a project of its own; the draft merge request is ready once it is green."""
    url = await _project(system, "copies/source", SAMPLES / "flask-notes")
    options = {"project": "copies/notes", "create_project": "import", "author": "Ada <ada@example.com>"}
    records = await system.end(await system.submit(url, merge_request=True, **options))
    assert types(records) == HAPPY, records[-1].event
    run = fold(records)
    assert run.commit is not None
    assert run.commit.project_path == "copies/notes"
    assert run.merge_request is not None
    assert not run.merge_request.draft
    headers = {"PRIVATE-TOKEN": system.gitlab.token}
    where = f"{system.gitlab.url}/api/v4/projects/{run.commit.project_id}/merge_requests"
    async with httpx.AsyncClient(headers=headers) as client:
        [shown] = (await client.get(where)).json()
        [note] = (await client.get(f"{where}/{shown['iid']}/notes")).json()
    assert run.origin
    assert shown["title"] == f"{COMMIT_TAGS[run.origin]} GitLab CI pipeline and Dockerfile"
    assert "green, 10 jobs" in note["body"]
    assert f"/runs/{run.run_id}" in shown["description"]


async def test_where_no_pipeline_is_wanted_the_run_ends_with_the_commit(system: System) -> None:
    """Nothing is watched, nothing is learned, nothing is claimed."""
    url = await _project(system, "skip/notes", SAMPLES / "flask-notes")
    run_id = await system.submit(url, skip_ci=True)
    records = await system.until(run_id, lambda recorded: recorded.event.type == "commit.created")
    assert fold(records).status == "committed"


async def test_a_bare_message_from_any_nats_client_runs_to_the_end(system: System) -> None:
    """`nats pub repo.submitted …` is all that it takes."""
    url = await _project(system, "bare/notes", SAMPLES / "flask-notes")
    client = await nats.connect(system.local.values["nats_url"])
    ack = await client.jetstream().publish("repo.submitted", json.dumps({"repo_url": url}).encode())
    await client.close()
    async for recorded in system.bus.tail(from_sequence=ack.seq):
        if recorded.event.type == "repo.submitted" and recorded.event.run_id:
            break
    assert types(await system.end(recorded.event.run_id)) == HAPPY


@pytest.mark.parametrize(
    ("path", "files", "words"),
    [
        ("bad/empty", {}, "empty"),
        ("bad/no-code", {"README.md": b"# words only\n"}, "no source"),
        ("{gitlab}/bad/missing.git", None, "not found"),
        ("file:///etc", None, "file"),
        ("ext::sh -c true", None, "ext"),
        ("https://forge.example/a/b.git", None, "forge.example"),
    ],
)
async def test_a_repository_that_cannot_be_read_ends_the_run_with_a_reason(
    system: System, path: str, files: dict[str, bytes] | None, words: str
) -> None:
    """Without code, missing, or where nothing may be cloned from: `run.failed` says what and which."""
    url = path.format(gitlab=system.gitlab.url)
    if files is not None:
        url = str((await system.gitlab.create_project(path, files=files))["http_url_to_repo"])
    records = await system.end(await system.submit(url))
    assert types(records) == ["repo.submitted", "run.failed"]
    failed = records[-1].event
    assert isinstance(failed, RunFailed)
    assert failed.phase == "analyzer"
    assert words in failed.reason.lower()
