"""The seeder's handler on fakes and on real registries, and the contract that both keep."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from sandbox.registry import RegistryServer, serve_registry
from services.seeder.copying import Places
from services.seeder.decide import Names
from services.seeder.service import Deps, connect, seed
from services.seeder.settings import Settings
from shared.adapters.registry import CopyFailed, RegistryClient, Skopeo
from shared.ci.places import Place
from shared.errors import Retry
from shared.events import (
    Analysis,
    Commit,
    Evidence,
    Files,
    FilesGenerated,
    Image,
    ImagesSeeded,
    Proposal,
    RepoSubmitted,
    Rerun,
    new_run_id,
)
from tests.fakes.registry import FakeCopier, FakeRegistry, FakeSources
from tests.seeder.conftest import SOURCES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shared.ports import Copier, Registry

PRIVATE = "ai-nexus:5001"
MIRROR = "mirror:5000"


def files(registry: str) -> Files:
    """Files that name all of the sources, one that exists nowhere, one unresolved, and one outside."""
    pipeline = f"""\
variables: {{REGISTRY: "{registry}"}}
compile: {{image: "${{REGISTRY}}/python:3.12-slim", script: [x]}}
test: {{image: "${{REGISTRY}}/python:3.12-slim", services: ["$REGISTRY/org/tool:1"], script: [x]}}
push: {{image: "$REGISTRY/gcr.io/kaniko-project/executor:v1.23.2-debug", script: [x]}}
lint: {{image: "$REGISTRY/python:3.99", script: [x]}}
notify: {{image: $CI_REGISTRY_IMAGE, script: [x]}}
learn: {{image: "busybox:1", script: [x]}}
"""
    return Files(pipeline=pipeline, dockerfile=f"ARG REGISTRY={registry}\nFROM ${{REGISTRY}}/node:20\n")


def generated(registry: str, rerun: Rerun | None = None) -> FilesGenerated:
    """The event that the seeder reads."""
    submission = RepoSubmitted(run_id=new_run_id(), repo_url="https://example.com/a/b").submission
    proposal = Proposal(
        submission=submission,
        analysis=Analysis(),
        decision="llm-generated",
        origin="rules",
        files=files(registry),
        rerun=rerun,
    )
    return FilesGenerated(run_id=new_run_id(), attempt=2, proposal=proposal)


def fakes(limit: int = 4) -> tuple[Deps, FakeRegistry, FakeCopier]:
    """The handler's dependencies in memory."""
    registry = FakeRegistry()
    sources = FakeSources({f"{MIRROR}/{source}" for source in SOURCES})
    copier = FakeCopier(registry, sources)
    settings = Settings(nexus_registry=PRIVATE, seed_mirror=MIRROR)
    places = Places(sources, copier, asyncio.Semaphore(limit))
    return Deps(registry, places, Names(PRIVATE, settings.places)), registry, copier


def by_target(images: tuple[Image, ...], registry: str = PRIVATE) -> dict[str, str]:
    """Name in the private registry → state, of the images that have one there."""
    return {i.target.removeprefix(f"{registry}/"): i.state for i in images if i.target}


async def seeding(event: FilesGenerated, deps: Deps) -> ImagesSeeded:
    """The fact, which is not the end of the run."""
    answer = await seed(event, deps)
    assert isinstance(answer, ImagesSeeded)
    return answer


SEEDED = {
    "python:3.12-slim": "copied",
    "org/tool:1": "copied",
    "gcr.io/kaniko-project/executor:v1.23.2-debug": "copied",
    "node:20": "copied",
    "python:3.99": "failed",
    "busybox:1": "failed",
}


async def test_missing_images_are_copied_and_failures_say_why() -> None:
    """Every image of the files is in the fact: copied, failed with the words, unresolved with the reason."""
    deps, _, copier = fakes()
    event = generated(PRIVATE)
    fact = await seeding(event, deps)
    assert (fact.run_id, fact.attempt, fact.proposal) == (event.run_id, 2, event.proposal)
    assert by_target(fact.images) == SEEDED
    python = fact.images[0]
    assert python.source == "docker.io/library/python:3.12-slim"
    assert python.used_by == ("job compile", "job test")
    assert python.digest is not None
    assert python.size == 100
    reasons = {i.source: i.reason for i in fact.images}
    assert reasons["docker.io/library/python:3.99"] == "manifest unknown"
    assert python.where[1] == Evidence(
        source=".gitlab-ci.yml", line=3, text=f"{PRIVATE}/python:3.12-slim", about="job test"
    )
    assert python.pulled_from == f"{MIRROR}/docker.io/library/python:3.12-slim"
    assert "policy: busybox:1 is not in the private registry" in reasons["docker.io/library/busybox:1"]
    (unresolved,) = [i for i in fact.images if i.state == "unresolved"]
    assert unresolved.reason == "variable $CI_REGISTRY_IMAGE is not known before the pipeline runs (line 6)"
    assert set(copier.copies.values()) == {1}


async def test_what_is_present_is_not_copied_again() -> None:
    """A second delivery, and a rerun, find everything present: the copies are idempotent."""
    deps, _, copier = fakes()
    first = await seeding(generated(PRIVATE), deps)
    commit = Commit(project_id=1, project_path="a/b", branch="x", sha="1" * 40, web_url="")
    second = await seeding(generated(PRIVATE, Rerun(commit=commit, pipeline_id=1)), deps)
    assert {i.state for i in second.images if i.digest} == {"present"}
    assert [(i.target, i.digest) for i in second.images] == [(i.target, i.digest) for i in first.images]
    assert set(copier.copies.values()) == {1}


async def test_two_runs_that_want_the_same_images_copy_them_once() -> None:
    """Within a process an image is never copied twice at once, and never more than the limit together."""
    deps, _, copier = fakes(limit=2)
    facts = await asyncio.gather(*(seeding(generated(PRIVATE), deps) for _ in range(5)))
    assert set(copier.copies.values()) == {1}
    assert copier.most_at_once == 2
    assert sum(i.state == "copied" for fact in facts for i in fact.images) == 4


async def test_registry_down_gives_the_delivery_back_and_the_next_goes_through() -> None:
    """Nothing is claimed while the registry is away; when it is back the same event is seeded."""
    deps, registry, _ = fakes()
    event = generated(PRIVATE)
    registry.down = True
    with pytest.raises(Retry):
        await seeding(event, deps)
    registry.down = False
    assert by_target((await seeding(event, deps)).images) == SEEDED


async def test_files_that_are_not_yaml_are_unresolved() -> None:
    """A broken pipeline stops nothing here: the fact says that its images are not known."""
    deps, _, _ = fakes()
    event = generated(PRIVATE)
    broken = event.proposal.model_copy(update={"files": Files(pipeline="a: [", dockerfile="FROM scratch")})
    (image,) = (await seeding(event.model_copy(update={"proposal": broken}), deps)).images
    assert image.state == "unresolved"
    assert "not valid YAML" in image.reason


def settings(private: str, upstream: str) -> Settings:
    """Settings for two registries on loopback."""
    return Settings(nexus_registry=private, seed_mirror=upstream, copy_timeout=20)


async def test_none_half_and_all_present_on_real_registries(upstream: RegistryServer, private: RegistryServer) -> None:
    """With real skopeo only what is missing is copied, and the digests are those of the source."""
    name = private.host_port
    await Skopeo(timeout=20).copy(Place(f"{upstream.host_port}/docker.io/library/node:20"), f"{name}/node:20")
    async with connect(settings(name, upstream.host_port), None) as deps:
        half = await seeding(generated(name), deps)
        everything = await seeding(generated(name), deps)
    assert by_target(half.images, name) == {**SEEDED, "node:20": "present"}
    assert {i.state for i in everything.images if i.digest} == {"present"}
    failed = next(i for i in half.images if i.target.endswith(":3.99"))
    assert "manifest unknown" in failed.reason
    async with RegistryClient(upstream.host_port) as source:
        for image in half.images:
            if image.digest:
                repository, _, tag = image.source.rpartition(":")
                found = await source.manifest(repository, tag)
                assert found is not None
                assert found.digest == image.digest


async def test_a_real_registry_that_comes_back(upstream: RegistryServer, tmp_path: Path) -> None:
    """While it is down the delivery is given back; when it is up again on its port everything is copied."""
    async with serve_registry(data=tmp_path / "late") as server:
        name = server.host_port
    async with connect(settings(name, upstream.host_port), None) as deps:
        event = generated(name)
        with pytest.raises(Retry, match="does not answer"):
            await seeding(event, deps)
        async with serve_registry(data=tmp_path / "late", port=int(name.rpartition(":")[2])):
            assert by_target((await seeding(event, deps)).images, name) == SEEDED


@dataclass(frozen=True)
class Pair:
    """A registry, a copier into it, and where the sources are."""

    registry: Registry
    copier: Copier
    private: str
    source: str


@pytest.fixture(params=["fake", "real"])
async def pair(
    request: pytest.FixtureRequest, upstream: RegistryServer, private: RegistryServer
) -> AsyncIterator[Pair]:
    """The fakes, and the adapters with real registries."""
    if request.param == "fake":
        deps, registry, copier = fakes()
        yield Pair(registry, copier, deps.names.registry, MIRROR)
        return
    async with RegistryClient(private.host_port) as client:
        yield Pair(client, Skopeo(timeout=20), private.host_port, upstream.host_port)


async def test_registry_and_copier_keep_their_contract(pair: Pair) -> None:
    """Nothing before the copy; then the same manifest by tag and digest; an unknown source is CopyFailed."""
    assert await pair.registry.manifest("org/tool", "1") is None
    assert await pair.registry.tags("org/tool") == ()
    for _ in range(2):
        await pair.copier.copy(Place(f"{pair.source}/docker.io/org/tool:1"), f"{pair.private}/org/tool:1")
    found = await pair.registry.manifest("org/tool", "1")
    assert found is not None
    assert found.size
    assert await pair.registry.manifest("org/tool", found.digest) == found
    assert await pair.registry.tags("org/tool") == ("1",)
    with pytest.raises(CopyFailed, match="manifest unknown") as raised:
        await pair.copier.copy(Place(f"{pair.source}/docker.io/org/tool:9"), f"{pair.private}/org/tool:9")
    assert raised.value.error_class == "manifest_unknown"
    assert await pair.registry.manifest("org/tool", "9") is None
