"""Changes of configuration are applied, and those that would destroy something refused, on a real server."""

from __future__ import annotations

import json

import nats
import pytest

from shared import topology
from shared.bus import Bus
from shared.errors import Reject
from shared.settings import CommonSettings
from tests.bus.conftest import bus, server, settings, submitted
from tests.operate.conftest import Command

__all__ = ["bus", "server", "settings"]


async def edited(settings: CommonSettings, name: str, **changes: object) -> None:
    """The stream with these changes, as `nats stream edit` makes them: over JetStream's API."""
    client = await nats.connect(settings.nats_url)
    answer = json.loads((await client.request(f"$JS.API.STREAM.INFO.{name}", b"")).data)
    body = json.dumps({**answer["config"], **changes}).encode()
    done = json.loads((await client.request(f"$JS.API.STREAM.UPDATE.{name}", body)).data)
    await client.close()
    assert "error" not in done, done


async def changed(settings: CommonSettings, **values: object) -> list[str]:
    """What the provisioner does with other settings."""
    async with Bus.connect(settings.model_copy(update=values), "provisioner") as bus:
        return await bus.provision()


async def test_what_is_missing_and_what_grew_is_made(bus: Bus, settings: CommonSettings) -> None:
    """A new subject, a longer time, more bytes; then there is nothing left to do."""
    without = [subject for subject in topology.event_subjects() if not subject.startswith("template.stored")]
    await edited(settings, "EVENTS", subjects=without)
    assert await bus.provisioned() == ["the stream EVENTS differs: subjects: lacks template.stored.*.*"]
    assert await changed(settings, nats_max_age_days=120.0) == [
        "changed max_age, subjects of the stream EVENTS",
        *(f"changed max_age of the stream {name}" for name in ("DLQ", "ADVISORIES", "OBJ_greenrun-blobs")),
    ]
    assert await changed(settings, nats_max_age_days=120.0) == []
    assert await bus.provisioned() == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"nats_max_age_days": 30.0},
            "max_age of the stream EVENTS: what is older than the new limit would be",
        ),
        ({"nats_max_bytes": 1000}, "max_bytes of the stream EVENTS: it may hold more than that already"),
    ],
)
async def test_what_would_destroy_something_is_refused_and_nothing_is_done(
    bus: Bus, settings: CommonSettings, values: dict[str, object], words: str
) -> None:
    """The reason, and how to do it by hand; what else has changed is not applied either."""
    run_id = await submitted(bus)
    with pytest.raises(Reject, match="nothing was changed") as refused:
        await changed(settings, ack_wait=7.0, **values)
    assert words in refused.value.reason
    assert "nats stream edit NAME" in refused.value.reason
    assert len(await bus.history(run_id)) == 1
    assert await bus.unlike() == []


async def test_subjects_that_another_version_has_are_not_taken_away(bus: Bus, settings: CommonSettings) -> None:
    """An older provisioner must not make a newer service's events unheard."""
    await edited(settings, "EVENTS", subjects=[*topology.event_subjects(), "image.signed.*.*"])
    with pytest.raises(Reject, match="messages on the subjects that it has now would be taken no longer"):
        await bus.provision()


async def test_a_full_log_refuses_what_is_new_and_loses_nothing(bus: Bus, settings: CommonSettings) -> None:
    """What was stored stays; once it may take more, it goes on."""
    run_id = await submitted(bus)
    await edited(settings, "EVENTS", max_bytes=1)
    client = await nats.connect(settings.nats_url)
    with pytest.raises(nats.js.errors.APIError, match="maximum bytes exceeded"):
        await client.jetstream().publish("repo.submitted", b"{}")
    await client.close()
    assert await changed(settings) == ["changed max_bytes of the stream EVENTS"]
    assert len(await bus.history(run_id)) == 1
    assert await submitted(bus)


async def test_the_command_checks_and_applies(
    bus: Bus, settings: CommonSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`--check` exits with 1 where something differs, `--apply` mends it; a refusal is one sentence."""
    cli = Command(tmp_path_factory.mktemp("home"))
    env = {"NATS_URL": settings.nats_url, "ACK_WAIT": "7", "NATS_MAX_AGE_DAYS": "90"}
    await bus.provision()
    done = await cli("provision", "--check", **env)
    assert (done.code, "the consumer seeder differs: ack_wait is 1 s, not 7 s" in done.out) == (1, True)
    assert "changed ack_wait of the consumer seeder" in (await cli("provision", "--apply", **env)).out
    assert (await cli("provision", **env)).code == 0
    shorter = {**env, "NATS_MAX_AGE_DAYS": "1"}
    said = (await cli("provision", **shorter)).out
    assert "max_age is 90 days, not 1 days" in said
    assert "refused: max_age of the stream DLQ" in said
    refused = await cli("provision", "--apply", **shorter)
    assert (refused.code, "nothing was changed, because it would destroy something" in refused.err) == (1, True)
