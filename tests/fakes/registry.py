"""A registry and a copier in memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter

from shared.adapters.registry import CopyFailed, RateLimited
from shared.ci.places import Place
from shared.ci.references import parse
from shared.errors import Retry
from shared.ports import Manifest, Progress, unheard

SIZE = 100


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


class FakeSources:
    """Implements `shared.ports.Sources` over the copier's sources; `limits` are hosts that are at their limit."""

    def __init__(self, sources: set[str]) -> None:
        self.sources = sources
        self.asked: Counter[str] = Counter()
        self.limits: dict[str, float] = {}
        self.moved: dict[str, str] = {}

    async def digest(self, place: Place) -> str | None:
        """The digest that a copy gives."""
        self.asked[place.name] += 1
        if place.host in self.limits:
            raise RateLimited(f"registry {place.host} answered 429", after=self.limits[place.host])
        return _digest(self.moved.get(place.name, place.name)) if place.name in self.sources else None


class FakeCopier:
    """Implements `shared.ports.Copier`: the named sources exist, every other is `manifest unknown`."""

    def __init__(self, registry: FakeRegistry, sources: FakeSources) -> None:
        self.registry = registry
        self.sources = sources
        self.copies: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0

    async def copy(self, place: Place, target: str, progress: Progress = unheard) -> None:
        """Put the source's manifest under the target."""
        if self.registry.down:
            raise Retry(f"copying {place.name} to {target} failed for now: connection refused")
        if place.name not in self.sources.sources:
            raise CopyFailed(place.name, "manifest_unknown", "manifest unknown")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.copies[target] += 1
        written = parse(target)
        await progress(SIZE)
        moved = self.sources.moved.get(place.name, place.name)
        self.registry.add(written.repository, written.tag, Manifest(_digest(moved), SIZE))


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
