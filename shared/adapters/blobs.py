"""The object store behind the log: what is too large for an event, under the sha256 of its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.events import BlobRef


class BlobStore:
    """Implements `shared.ports.Blobs` over the bus."""

    def __init__(self, bus: Bus) -> None:
        """Over a connected bus."""
        self._bus = bus

    async def put(self, data: bytes) -> BlobRef:
        """Store if absent; the reference to it. Raises Retry where the store does not answer."""
        return await self._bus.put_blob(data)

    async def get(self, ref: BlobRef) -> bytes:
        """The bytes, checked against the digest; Reject where they are gone or differ."""
        return await self._bus.get_blob(ref)
