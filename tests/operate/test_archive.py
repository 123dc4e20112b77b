"""The log in a file and back on an empty server: the same events, blobs and dead letters, and nothing done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenrun import archive
from greenrun.exits import WrongCall
from greenrun.log import verdict
from shared.bus import Bus
from shared.errors import Reject
from shared.settings import CommonSettings
from tests.bus.conftest import Handler, Server, bus, kinds, quick, running, server, settings, settled, submitted, until
from tests.operate.conftest import Command

__all__ = ["bus", "server", "settings"]


async def test_an_archived_log_comes_back_whole(bus: Bus, settings: CommonSettings, tmp_path: Path) -> None:
    """Over the command; the services go on where they were and take nothing again."""
    async with running(settings, Handler([Reject("refused")])):
        refused = await submitted(bus)
        await until(bus, refused, "run.failed")
        run_id = await submitted(bus)
        await until(bus, run_id, "repo.analyzed")
        await settled(bus)
    blob = await bus.put_blob(b"a trace" * 50_000)
    file, cli = tmp_path / "log.zip", Command(tmp_path / "home")
    done = await cli("log", "archive", str(file), NATS_URL=settings.nats_url)
    assert (done.code, "EVENTS  4 messages" in done.out) == (0, True), done.err
    assert (await cli("log", "archive", str(file), NATS_URL=settings.nats_url)).code == 2
    there = await cli("log", "restore", str(file), NATS_URL=settings.nats_url)
    assert (there.code, "the stream EVENTS is there already" in there.err) == (2, True)

    other = Server(tmp_path / "other")
    await other.start()
    done = await cli("log", "restore", str(file), NATS_URL=other.url)
    assert done.code == 0, done.err
    handler = Handler()
    async with Bus.connect(quick(other), "test") as copy:
        await copy.provision()
        assert await copy.all_events() == await bus.all_events()
        assert await copy.dead_letters() == await bus.dead_letters()
        assert await copy.get_blob(blob) == b"a trace" * 50_000
        async with running(quick(other), handler):
            assert kinds(await until(copy, await submitted(copy), "repo.analyzed"))[-1] == "repo.analyzed"
            await settled(copy)
        assert (await verdict(copy)).problems == ()
    assert len(handler.calls) == 1
    await other.stop()


@pytest.mark.parametrize("cut", [10, -1000])
async def test_a_file_that_is_not_whole_is_refused_before_anything_is_done(bus: Bus, tmp_path: Path, cut: int) -> None:
    """Shortened, or with another byte in it."""
    await bus.put_blob(b"x" * 10_000)
    file = tmp_path / "log.zip"
    await archive.archive(bus, file)
    data = bytearray(file.read_bytes())
    if cut > 0:
        data = data[:-cut]
    else:
        data[200] ^= 1
    file.write_bytes(data)
    with pytest.raises(WrongCall, match="is no archive of the log, or not whole"):
        archive.read(file)
