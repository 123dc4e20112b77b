"""Which manifests of a tree are read: each of a bounded size, and all together within one budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.settings import SourceSettings


def readable(sizes: Iterable[tuple[str, int]], wanted: Callable[[str], bool], settings: SourceSettings) -> list[str]:
    """The paths of (path, bytes) to read, those nearest to the root first.

    One tree may name one blob a thousand times, so what counts is what the reader gets, not what is on the disk.
    """
    left = settings.manifests_max_bytes
    chosen = []
    for path, size in sorted(sizes, key=lambda pair: (pair[0].count("/"), pair[0])):
        if size <= min(left, settings.manifest_max_bytes) and wanted(path):
            left -= size
            chosen.append(path)
    return chosen
