"""The object store: the real one over JetStream and the fake pass the same test."""

from __future__ import annotations

import pytest

from shared.adapters.blobs import BlobStore
from shared.bus import Bus
from shared.errors import Reject, Retry
from shared.events import BlobRef
from shared.ports import Blobs
from shared.settings import CommonSettings
from tests.bus.conftest import Server
from tests.fakes.blobs import FakeBlobs


@pytest.fixture(params=["real", "fake"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    """One after the other; the real one needs a server."""
    return BlobStore(request.getfixturevalue("bus")) if request.param == "real" else FakeBlobs()


@pytest.mark.parametrize("data", [b"", b"trace", b"\x00\xff" * 300_000])
async def test_what_is_put_can_be_had(blobs: Blobs, data: bytes) -> None:
    """Byte for byte, under one reference however often it is put."""
    reference = await blobs.put(data)
    assert await blobs.put(data) == reference
    assert reference.size == len(data)
    assert await blobs.get(reference) == data


async def test_what_was_never_put_is_refused(blobs: Blobs) -> None:
    """No redelivery brings it back."""
    with pytest.raises(Reject, match="not in the object store"):
        await blobs.get(BlobRef(key="sha256-no", size=1, digest="no"))


async def test_other_content_is_refused(blobs: Blobs) -> None:
    """What does not match its digest is never handed out."""
    reference = await blobs.put(b"trace")
    with pytest.raises(Reject, match="does not match"):
        await blobs.get(reference.model_copy(update={"digest": "0" * 64}))


@pytest.mark.usefixtures("bus")
async def test_a_store_that_is_away_is_a_retry(server: Server, settings: CommonSettings) -> None:
    """The server is gone: the delivery comes again when it is back, and then the blob is there."""
    async with Bus.connect(settings, "test") as other:
        store = BlobStore(other)
        reference = await store.put(b"trace")
        await server.stop()
        with pytest.raises(Retry, match="object store does not answer"):
            await store.get(reference)
        await server.start()
        assert await store.get(reference) == b"trace"
