"""What is copied, from where, and what a failure means: the settings of seeding, on fakes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from services.seeder.copying import Places
from services.seeder.decide import Names
from services.seeder.hosts import Hosts
from services.seeder.memory import Memory
from services.seeder.service import Deps, Policy, seed
from services.seeder.settings import Settings
from shared.errors import Retry
from shared.events import Evidence, Files, FilesGenerated, Image, ImagesSeeded, Repair, RunFailed
from shared.ports import Manifest
from tests.fakes.registry import FakeCopier, FakeRegistry, FakeSources
from tests.seeder.test_seeding import generated

PRIVATE = "ai-nexus:5001"
RUBY = "docker.io/library/ruby:3"
PIPELINE = 'variables: {REGISTRY: "ai-nexus:5001"}\njob: {image: $REGISTRY/ruby:3, script: [x]}\n'


@dataclass
class World:
    """The handler over fakes, with a clock that a test moves."""

    deps: Deps
    registry: FakeRegistry
    sources: FakeSources
    copier: FakeCopier
    now: list[float] = field(default_factory=lambda: [0.0])

    async def seed(self, event: FilesGenerated | None = None) -> Image:
        """What became of the one image."""
        fact = await seed(event or ruby(), self.deps)
        assert isinstance(fact, ImagesSeeded)
        return fact.images[0]


def world(*there: str, policy: Policy | None = None, **values: Any) -> World:
    """A world in which these names can be copied."""
    now = [0.0]
    registry, sources = FakeRegistry(), FakeSources(set(there))
    copier = FakeCopier(registry, sources)
    places = Places(sources, copier, asyncio.Semaphore(4), Hosts(lambda: now[0]))
    settings = Settings(nexus_registry=PRIVATE, **values)
    names = Names(PRIVATE, settings.places, settings.names)
    deps = Deps(registry, places, names, policy=policy or Policy(), memory=Memory(lambda: now[0]))
    return World(deps, registry, sources, copier, now)


def ruby(pipeline: str = PIPELINE, dockerfile: str = "FROM scratch") -> FilesGenerated:
    """An event whose files need one image."""
    event = generated(PRIVATE)
    proposal = event.proposal.model_copy(update={"files": Files(pipeline=pipeline, dockerfile=dockerfile)})
    return event.model_copy(update={"proposal": proposal})


async def test_never_copies_nothing_and_says_what_is_missing() -> None:
    """SEED_REFRESH=never asks no source; what is there is present."""
    one = world(RUBY, policy=Policy("never"))
    image = await one.seed()
    assert (image.state, image.error_class) == ("failed", "missing")
    assert not one.sources.asked
    one.registry.add("ruby", "3", Manifest("sha256:" + "1" * 64))
    assert (await one.seed()).state == "present"
    assert not one.copier.copies


async def test_missing_does_not_ask_a_source_for_what_is_there() -> None:
    """The default: the first copy stays, however the tag moves upstream."""
    one = world(RUBY)
    assert (await one.seed()).state == "copied"
    one.sources.moved[RUBY] = "another"
    one.sources.asked.clear()
    assert (await one.seed()).state == "present"
    assert not one.sources.asked


async def test_newer_refreshes_a_tag_that_moved_and_nothing_else() -> None:
    """The digest tells; a source that does not answer leaves what is there, and says so."""
    one = world(RUBY, policy=Policy("newer"))
    first = await one.seed()
    assert (await one.seed()).state == "present"
    one.sources.moved[RUBY] = "another"
    second = await one.seed()
    assert (first.state, second.state) == ("copied", "refreshed")
    assert first.digest != second.digest
    one.sources.moved[RUBY] = "a third"
    one.sources.limits["docker.io"] = 60.0
    third = await one.seed()
    assert (third.state, third.digest) == ("present", second.digest)
    assert "429" in third.reason


async def test_a_refresh_comes_from_the_source_and_not_from_a_cache_that_is_behind() -> None:
    """What a cache still has would be the old image under the claim that it is the new one."""
    one = world("cache:1/library/ruby:3", RUBY, policy=Policy("newer"), seed_mirrors="docker.io=cache:1")
    one.sources.moved["cache:1/library/ruby:3"] = RUBY
    assert (await one.seed()).pulled_from == "cache:1/library/ruby:3"
    one.sources.moved[RUBY] = "another"
    second = await one.seed()
    assert (second.state, second.pulled_from) == ("refreshed", RUBY)
    assert (await one.seed()).state == "present"


def repaired(event: FilesGenerated, error_class: str) -> FilesGenerated:
    """The next attempt, after a repair of this class of failure."""
    attempt, words = event.attempt + 1, dict.fromkeys(("strategy", "summary", "author"), "")
    repair = Repair(attempt=attempt, error_class=error_class, job="j", evidence=Evidence(source="j"), **words)
    proposal = event.proposal.model_copy(update={"repairs": (repair,)})
    return event.model_copy(update={"attempt": attempt, "proposal": proposal})


async def test_what_is_present_is_asked_for_once_in_a_run() -> None:
    """The next attempt of a run trusts what it saw, unless a job said that there is no such image."""
    one = world(RUBY)
    event = ruby()
    copied = await one.seed(event)
    one.registry.down = True
    again = await one.seed(repaired(event, "missing_command"))
    assert (again.state, again.digest) == ("present", copied.digest)
    with pytest.raises(Retry):
        await one.seed(repaired(event, "image_not_found"))


async def test_behind_an_air_gap_no_source_is_asked() -> None:
    """What is missing is listed with what a person can do about it; a mirror inside the gap is still asked."""
    one = world(RUBY, air_gapped=True)
    image = await one.seed()
    assert (image.state, image.error_class) == ("failed", "missing")
    assert "greenrun images export" in image.reason
    assert not one.sources.asked
    inside = world(f"mirror:5000/{RUBY}", air_gapped=True, seed_mirrors="mirror:5000")
    assert (await inside.seed()).pulled_from == f"mirror:5000/{RUBY}"


async def test_mirrors_and_caches_come_before_the_source() -> None:
    """The first that has the image gives it; where none has it the words of all are said."""
    values: dict[str, Any] = {"seed_mirrors": "docker.io=cache:5000, mirror:5000"}
    order = ["cache:5000/library/ruby:3", f"mirror:5000/{RUBY}", RUBY]
    for number, place in enumerate(order):
        one = world(*order[number:], **values)
        assert (await one.seed()).pulled_from == place
        assert list(one.sources.asked) == order[: number + 1]
    image = await world(**values).seed()
    assert (image.state, image.error_class) == ("failed", "manifest_unknown")
    assert image.reason.count("manifest unknown") == 3


async def test_a_source_at_its_limit_is_left_alone_for_as_long_as_it_said() -> None:
    """One refusal stands for all copies of the process; the delivery comes again when the source may be asked."""
    one = world(RUBY)
    one.sources.limits["docker.io"] = 60.0
    for _ in range(2):
        with pytest.raises(Retry) as raised:
            await one.seed()
        assert raised.value.after == 60.0
    assert one.sources.asked[RUBY] == 1
    one.sources.limits.clear()
    one.now[0] = 61.0
    assert (await one.seed()).state == "copied"


async def test_another_place_gives_what_one_at_its_limit_does_not() -> None:
    """A mirror's limit is no reason to wait while the source has the image."""
    one = world(RUBY, seed_mirrors="mirror:5000")
    one.sources.limits["mirror:5000"] = 60.0
    assert (await one.seed()).pulled_from == RUBY


def test_without_a_wish_the_rest_grows_with_each_refusal() -> None:
    """Refusals that come while the host rests are one; success forgets them."""
    now = [0.0]
    hosts = Hosts(lambda: now[0])
    rests = []
    for _ in range(3):
        hosts.refused("docker.io", None)
        hosts.refused("docker.io", None)
        rests.append(hosts.resting("docker.io"))
        now[0] += rests[-1]
    assert rests == [5.0, 10.0, 20.0]
    hosts.served("docker.io")
    hosts.refused("docker.io", None)
    assert hosts.resting("docker.io") == 5.0
    assert hosts.resting("gcr.io") == 0.0


async def test_a_run_goes_on_without_an_image_that_it_waited_for_long_enough() -> None:
    """After SEED_PATIENCE the failure is the healer's evidence and holds the run no longer."""
    one = world(RUBY, policy=Policy(patience=100))
    one.sources.limits["docker.io"] = 30.0
    event = ruby()
    with pytest.raises(Retry):
        await one.seed(event)
    one.now[0] = 101.0
    image = await one.seed(event)
    assert (image.state, image.error_class) == ("failed", "rate_limited")
    assert "429" in image.reason


async def test_no_source_makes_a_run_wait_for_longer_than_its_patience() -> None:
    """A source may wish for hours: the delivery comes again when the run's own time is over."""
    one = world(RUBY, policy=Policy(patience=100))
    one.sources.limits["docker.io"] = 21600.0
    event = ruby()
    with pytest.raises(Retry) as first:
        await one.seed(event)
    one.now[0] = 40.0
    with pytest.raises(Retry) as second:
        await one.seed(event)
    assert (first.value.after, second.value.after) == (100.0, 60.0)
    one.now[0] = 100.0
    assert (await one.seed(event)).state == "failed"


async def test_a_retried_run_has_its_whole_patience_and_asks_the_registry_anew() -> None:
    """What was waited for, and seen, before a person retried the run counts no more; for all deliveries of it once."""
    one = world(RUBY, policy=Policy(patience=100))
    one.sources.limits["docker.io"] = 30.0
    event = ruby()
    with pytest.raises(Retry):
        await one.seed(event)
    one.now[0] = 101.0
    assert (await one.seed(event)).state == "failed"
    again = event.model_copy(update={"attempt": 3})
    for _ in range(2):
        with pytest.raises(Retry):
            await one.seed(again)
        one.now[0] += 60.0
    assert (await one.seed(again)).state == "failed"


async def test_each_wait_of_a_run_has_its_whole_patience() -> None:
    """What an earlier attempt waited for, and got, does not shorten the wait of the next one."""
    one = world(RUBY, "docker.io/library/node:1", policy=Policy(patience=100))
    one.sources.limits["docker.io"] = 30.0
    event = ruby()
    with pytest.raises(Retry):
        await one.seed(event)
    one.now[0] = 31.0
    one.sources.limits.clear()
    assert (await one.seed(event)).state == "copied"
    one.now[0] = 500.0
    one.sources.limits["docker.io"] = 30.0
    healed = ruby(PIPELINE.replace("ruby:3", "node:1")).model_copy(update={"run_id": event.run_id})
    with pytest.raises(Retry):
        await one.seed(healed)


async def test_strict_ends_the_run_with_the_images_that_are_missing() -> None:
    """With SEED_STRICT the run fails here, with the registry's words; without it the fact says the same."""
    one = world(policy=Policy(strict=True))
    answer = await seed(ruby(), one.deps)
    assert isinstance(answer, RunFailed)
    assert answer.phase == "seeder"
    assert "ai-nexus:5001/ruby:3: manifest_unknown: manifest unknown" in answer.reason
    assert isinstance(await seed(ruby(), replace(one.deps, policy=Policy())), ImagesSeeded)


async def test_images_of_ones_own_are_made_and_not_copied() -> None:
    """An image with compilers in it exists nowhere else: the reason says which command makes it."""
    event = ruby(PIPELINE.replace("ruby:3", "ruby:3.2-alpine-build"))
    assert "greenrun images build" in (await world().seed(event)).reason


@pytest.mark.parametrize("name", ["Ruby:3", "ruby:", "ruby :3", "x" * 300, "ruby:$(reboot)", "ruby:`id`", "ruby;id"])
async def test_a_bad_reference_is_a_finding_with_its_line(name: str) -> None:
    """Nothing is copied, nothing is run; the fact has the reason, the file and the line."""
    one = world()
    image = await one.seed(
        ruby(f"job:\n  image: $REGISTRY/{name}\nvariables: {{REGISTRY: '{PRIVATE}'}}\n".replace("/'", "/"))
    )
    assert image.state == "unresolved"
    assert "(line " in image.reason
    assert image.where[0].source == ".gitlab-ci.yml"
    assert not one.sources.asked
    assert not one.copier.copies


def test_an_image_of_an_older_log_is_still_read() -> None:
    """Events that were stored before the newer fields have their defaults."""
    image = Image.model_validate({"source": "a", "target": "b", "state": "failed", "reason": "manifest unknown"})
    assert (image.error_class, image.where, image.pulled_from) == ("", (), "")
