"""skopeo as a child process: what it says, how long it may take, and that it ends."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.adapters.registry import CopyDelayed, CopyFailed, RegistryClient, Skopeo
from shared.adapters.skopeo import failure, last_words
from shared.ci.places import Place
from shared.errors import Reject, Retry
from tests.seeder.servers import answering, hanging, serving

if TYPE_CHECKING:
    from sandbox.registry import RegistryServer


def running(needle: str) -> list[int]:
    """The ids of skopeo's processes with this text on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if line.startswith(b"skopeo") and needle.encode() in line:
            found.append(int(path.parent.name))
    return found


async def until_running(needle: str) -> list[int]:
    """Wait for skopeo to have started."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := running(needle):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("skopeo did not start")


async def test_unknown_image_is_a_failure_of_its_own(upstream: RegistryServer, private: RegistryServer) -> None:
    """An image that no source has is CopyFailed with the registry's words, for tag and repository alike."""
    for name in ("docker.io/library/python:9", "docker.io/library/gone:1"):
        with pytest.raises(CopyFailed, match="unknown") as raised:
            await Skopeo(timeout=20).copy(Place(f"{upstream.host_port}/{name}"), f"{private.host_port}/x:1")
        assert raised.value.error_class == "manifest_unknown"


async def test_tag_and_digest_together_are_copied(upstream: RegistryServer, private: RegistryServer) -> None:
    """The source is read by the digest, and the private registry then has the tag and the digest."""
    name = "docker.io/library/node"
    async with RegistryClient(upstream.host_port) as there, RegistryClient(private.host_port) as here:
        found = await there.manifest(name, "20")
        assert found is not None
        source = f"{upstream.host_port}/{name}:20@{found.digest}"
        await Skopeo(timeout=20).copy(Place(source), f"{private.host_port}/node:20@{found.digest}")
        await Skopeo(timeout=20).copy(Place(source), f"{private.host_port}/by-digest@{found.digest}")
        assert await here.manifest("node", "20") == await here.manifest("node", found.digest) == found
        assert await here.manifest("by-digest", found.digest) == found


async def test_refused_connection_and_server_errors_are_retried(private: RegistryServer) -> None:
    """A source that is down, and one that answers 503, may be back later."""
    async with serving(answering(503, "UNAVAILABLE", "maintenance")) as host_port:
        with pytest.raises(Retry, match="server_error"):
            await Skopeo(timeout=20).copy(Place(f"{host_port}/x:1"), f"{private.host_port}/x:1")
    with pytest.raises(Retry, match="unreachable"):
        await Skopeo(timeout=20).copy(Place(f"{host_port}/x:1"), f"{private.host_port}/x:1")


async def test_rate_limit_is_retried(private: RegistryServer) -> None:
    """The patience of skopeo with 429 ends in Retry."""
    async with serving(answering(429, "TOOMANYREQUESTS", "pull rate limit", Retry_After="1")) as host_port:
        with pytest.raises(Retry, match="rate_limited"):
            await Skopeo(timeout=60).copy(Place(f"{host_port}/x:1"), f"{private.host_port}/x:1")


async def test_a_source_that_hangs_runs_into_the_time_limit(private: RegistryServer) -> None:
    """The limit ends skopeo and the copy is tried again later."""
    async with serving(hanging) as host_port:
        with pytest.raises(Retry, match="timeout"):
            await Skopeo(timeout=0.5).copy(Place(f"{host_port}/x:1"), f"{private.host_port}/x:1")
        assert not running(host_port)


async def test_cancellation_kills_skopeo(private: RegistryServer) -> None:
    """Nothing of a cancelled copy is left running, and its auth file is gone."""
    async with serving(hanging) as host_port:
        skopeo = Skopeo(timeout=60, credentials={host_port: ("u", "secret-word")})
        copy = asyncio.create_task(skopeo.copy(Place(f"{host_port}/x:1"), f"{private.host_port}/x:1"))
        (pid,) = await until_running(host_port)
        line = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        auth = Path(next(w for w in line if w.startswith("--src-authfile=")).partition("=")[2])
        assert auth.stat().st_mode & 0o777 == 0o600
        assert not any("secret-word" in word for word in line)
        assert os.getpgid(pid) == pid
        copy.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copy
        assert not running(host_port)
        assert not auth.exists()


async def test_without_skopeo_a_person_is_told_how_to_install_it() -> None:
    """No redelivery installs a program."""
    with pytest.raises(Reject, match=r"apt-get install skopeo"):
        await Skopeo(program="no-such-skopeo").copy(Place("docker.io/library/x:1"), "127.0.0.1:1/x:1")


@pytest.mark.parametrize("name", ["docker.io/library/x:$(reboot)", "x:1 --help", "--all", "A:1", ""])
async def test_what_is_no_reference_never_reaches_a_process(name: str) -> None:
    """A bad name is refused before anything is started."""
    with pytest.raises(ValueError, match=r"^image "):
        await Skopeo(program="no-such-skopeo").copy(Place(name), "127.0.0.1:1/x:1")


@pytest.mark.parametrize(
    ("words", "error", "kind"),
    [
        (
            "reading manifest 9 in docker.io/library/x: manifest unknown: manifest unknown",
            CopyFailed,
            "manifest_unknown",
        ),
        ("reading manifest 1: requested access to the resource is denied", CopyFailed, "denied"),
        ("reading manifest 1: unauthorized: authentication required", CopyFailed, "unauthorized"),
        ("choosing image: no image found in image index for architecture s390x", CopyFailed, "no_platform"),
        ("server gave HTTP response to HTTPS client", CopyFailed, "speaks_http"),
        ("x509: certificate signed by unknown authority", CopyFailed, "certificate"),
        ("dial tcp: lookup gcr.oi: no such host", CopyFailed, "no_such_host"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", Retry, "unreachable"),
        ("toomanyrequests: You have reached your pull rate limit", CopyDelayed, "rate_limited"),
        ("context deadline exceeded", CopyDelayed, "timeout"),
        ("writing blob: no space left on device", Retry, "disk_full"),
        ("something new", CopyDelayed, "unknown"),
        (
            "writing blob: Patch http://127.0.0.1:1/v2: happened during read: unexpected EOF",
            CopyDelayed,
            "unreachable",
        ),
        ("writing blob: happened during read: Digest did not match, expected sha256:0", CopyDelayed, "damaged"),
        ("pinging registry 127.0.0.1:1: Get http://127.0.0.1:1/v2/: denied", Reject, "refuses"),
        ("pinging registry 127.0.0.1:10: Get http://127.0.0.1:10/v2/: denied", CopyFailed, "denied"),
        ("Get http://mirror.127.0.0.1:1/v2/: unauthorized", CopyFailed, "unauthorized"),
        ("trying to reuse blob at destination: unauthorized: authentication required", Reject, "refuses"),
    ],
)
def test_the_last_line_tells_what_to_do(words: str, error: type[Exception], kind: str) -> None:
    """Each of skopeo's sentences has its class; one that is not known is tried again."""
    line = f'time="2026-01-01T00:00:00Z" level=warning msg="x"\ntime="2026" level=fatal msg="{words}"\n'
    found = failure("docker.io/library/x:1", "127.0.0.1:1/x:1", line)
    assert type(found) is error
    assert kind in (found.error_class if isinstance(found, CopyFailed) else str(found))


def test_words_are_unquoted_and_never_missing() -> None:
    """Quotes inside the message come out as they were said, and silence is named."""
    assert last_words('level=fatal msg="parsing \\"x\\": bad"') == 'parsing "x": bad'
    assert last_words("") == "skopeo said nothing"
