"""The audit of the log finds what must never be, and nothing in a log that is whole."""

from __future__ import annotations

import nats

from greenrun.log import verdict
from shared.bus import Bus, envelope
from shared.events import BlobRef, RepoSubmitted, RunFailed
from shared.settings import CommonSettings
from tests.bus.conftest import URL, Handler, analyzed, bus, running, server, settings, settled, submitted, until

__all__ = ["bus", "server", "settings"]


async def test_a_whole_log_keeps_its_promises(bus: Bus, settings: CommonSettings) -> None:
    """Runs that ended and one in flight, a bare submission, poison with its letter, a blob."""
    client = await nats.connect(settings.nats_url)
    await client.jetstream().publish("repo.submitted", f'{{"repo_url": "{URL}"}}'.encode())
    await client.jetstream().publish("repo.submitted.POISON.1", b"\xff")
    await client.close()
    async with running(settings, Handler()):
        run_id = await submitted(bus)
        await until(bus, run_id, "repo.analyzed")
        await until(bus, "POISON", "run.failed")
        await settled(bus, "analyzer-intake")
        await settled(bus)
    await bus.publish(RunFailed(run_id=run_id, phase="retriever", reason="x"), source="retriever")
    reference = await bus.put_blob(b"what a model may be shown")
    event = await bus.history(await submitted(bus))
    assert isinstance(event[0].event, RepoSubmitted)
    shown = analyzed(event[0].event).model_copy(update={"contents": reference})
    await bus.publish(shown, source="analyzer", cause=event[0].subject)
    found = await verdict(bus)
    assert found.problems == ()
    assert (found.runs, found.blobs, found.waiting_letters) == ({"running": 2, "failed": 2}, 1, 1)


async def test_what_must_never_be_is_found(bus: Bus, settings: CommonSettings) -> None:
    """Two events on a subject, an effect without a cause, a run that stopped, bytes that nobody buried, a lost blob."""
    run_id = await submitted(bus)
    [record] = await bus.history(run_id)
    assert isinstance(record.event, RepoSubmitted)
    client = await nats.connect(settings.nats_url)
    twice = {k: v for k, v in envelope(record.event, "x", None).items() if not k.startswith("Nats-")}
    body = record.event.model_dump_json().encode()
    await client.jetstream().publish(record.subject, body, headers=twice)
    await client.jetstream().publish("template.resolved.STRAY.1", b"no event")
    await client.close()
    gone = BlobRef(key="sha256-0", size=1, digest="0" * 64)
    orphan = analyzed(record.event).model_copy(update={"run_id": "ORPHAN", "contents": gone})
    await bus.publish(orphan, source="analyzer", cause="repo.submitted.ORPHAN.1")
    async with running(settings, silent):
        await settled(bus)
    problems = "\n".join((await verdict(bus)).problems)
    for words in (
        f"{record.subject} holds two events, at 1 and 2",
        "template.resolved.STRAY.1 at 3 is no event, and no dead letter says so",
        "repo.analyzed.ORPHAN.1 was caused by repo.submitted.ORPHAN.1, which is not before it",
        f"run {run_id} stopped at {record.subject}: the analyzer took it and nothing followed",
        "the blob sha256-0 is not in the object store",
    ):
        assert words in problems


async def silent(_event: RepoSubmitted, _deps: None) -> None:
    """A handler that answers nothing, as none may."""
