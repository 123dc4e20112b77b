"""A registry and a copier in memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter

from shared.adapters.skopeo import CopyFailed
from shared.ci.references import parse
from shared.errors import Retry
from shared.ports import Manifest


class FakeRegistry:
    """Implements `shared.ports.Registry`; with `down` nothing answers."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], Manifest] = {}
        self.down = False

    def add(self, repository: str, tag: str | None, manifest: Manifest) -> None:
        """Have this manifest under its digest, and its tag where it has one."""
        self.manifests[repository, manifest.digest] = manifest
        if tag:
            self.manifests[repository, tag] = manifest

    async def manifest(self, repository: str, reference: str) -> Manifest | None:
        """What was added or copied."""
        if self.down:
            raise Retry("registry fake does not answer: connection refused")
        return self.manifests.get((repository, reference))

    async def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of what was added or copied, sorted."""
        if self.down:
            raise Retry("registry fake does not answer: connection refused")
        return tuple(sorted(tag for name, tag in self.manifests if name == repository and ":" not in tag))


class FakeCopier:
    """Implements `shared.ports.Copier`: the named sources exist, every other is `manifest unknown`."""

    def __init__(self, registry: FakeRegistry, sources: set[str]) -> None:
        self.registry = registry
        self.sources = sources
        self.copies: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0

    async def copy(self, source: str, target: str) -> None:
        """Put the source's manifest under the target."""
        if self.registry.down:
            raise Retry(f"copying {source} to {target} failed for now: connection refused")
        if source not in self.sources:
            raise CopyFailed(source, "manifest_unknown", "manifest unknown")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.copies[target] += 1
        written = parse(target)
        digest = "sha256:" + hashlib.sha256(source.encode()).hexdigest()
        self.registry.add(written.repository, written.tag, Manifest(digest, 100))
