"""An object store in memory."""

from __future__ import annotations

import hashlib

from shared.errors import Reject
from shared.events import BlobRef


class FakeBlobs:
    """Implements `shared.ports.Blobs`."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, data: bytes) -> BlobRef:
        """Store under the content's sha256."""
        return self.keep(data)

    def keep(self, data: bytes) -> BlobRef:
        """The same, for tests that are not inside a loop."""
        digest = hashlib.sha256(data).hexdigest()
        self.kept[digest] = data
        return BlobRef(key=digest, size=len(data), digest=digest)

    async def get(self, ref: BlobRef) -> bytes:
        """What was put; Reject where it is gone."""
        if ref.key not in self.kept:
            raise Reject(f"blob {ref.key} is gone")
        return self.kept[ref.key]
