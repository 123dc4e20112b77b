"""A folder on this machine as a snapshot: names, sizes, and the content of the manifests. No link is followed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from shared.adapters.manifests import readable
from shared.errors import Reject
from shared.ports import Snapshot, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shared.settings import SourceSettings

NO_COMMIT = "0" * 40


class FolderSource:
    """Reads folders as `shared.ports.Source` reads repositories."""

    def __init__(self, settings: SourceSettings, wanted: Callable[[str], bool], skipped: Callable[[str], bool]) -> None:
        """`wanted` says of a file whether its content is read, `skipped` of a folder (with a slash) to leave it out."""
        self._settings = settings
        self._wanted = wanted
        self._skipped = skipped

    def read(self, folder: Path) -> Snapshot:
        """All files below the folder; it has no commit. Raises Reject where it cannot be read or is too large."""
        if not folder.is_dir():
            raise Reject(f"{folder} is no folder; give a folder or the URL of a repository")
        tree: list[TreeEntry] = []
        places: dict[str, str] = {}
        limit = self._settings.clone_max_files
        try:
            for path, entry in self._files(os.fspath(folder), ""):
                size = entry.stat(follow_symlinks=False).st_size
                tree.append(TreeEntry(path, size))
                if len(tree) > limit:
                    raise Reject(f"{folder} has more files than the limit CLONE_MAX_FILES={limit}")
                places[path] = entry.path
            paths = readable(((entry.path, entry.size) for entry in tree), self._wanted, self._settings)
            contents = {path: _content(places[path]) for path in paths}
        except OSError as error:
            raise Reject(f"{folder} cannot be read: {error.strerror or error}: {error.filename}") from error
        return Snapshot(NO_COMMIT, tuple(tree), contents)

    def _files(self, folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """The regular files with their paths, in the order of their names."""
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = prefix + os.fsencode(entry.name).decode(errors="backslashreplace")
            if entry.is_dir(follow_symlinks=False):
                if not self._skipped(f"{path}/"):
                    yield from self._files(entry.path, f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                yield path, entry


def _content(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - as os.scandir gives it
        return file.read()
