"""An object store in memory; it passes the contract test of the real one (tests/bus/test_blobs.py)."""

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
        self.kept[f"sha256-{digest}"] = data
        return BlobRef(key=f"sha256-{digest}", size=len(data), digest=digest)

    async def get(self, ref: BlobRef) -> bytes:
        """What was put; Reject where it is gone or is not what the digest says."""
        if ref.key not in self.kept:
            raise Reject(f"the blob {ref.key} is not in the object store")
        if ref.key != f"sha256-{ref.digest}":
            raise Reject(f"the blob {ref.key} does not match its digest")
        return self.kept[ref.key]
