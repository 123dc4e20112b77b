"""A fetched bare repository: its tree, the sizes of its files, and the content of some. Nothing is checked out."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import git

from shared.adapters.manifests import readable
from shared.errors import Reject
from shared.ports import Snapshot, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from shared.settings import SourceSettings

FILES = frozenset({"100644", "100755", "100664"})
# Linux takes no longer path; the mean is over all names of a tree, and generous.
LONGEST_PATH, MEAN_PATH = 4096, 256
# So many files of one ending tell how large the others are.
SAMPLE = 100
CHUNK = 1 << 16


@dataclass(frozen=True)
class Row:
    """One file of the tree and the id of its blob."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True)
class Objects:
    """What was fetched: the commit, its files, and the bytes of those blobs that are here."""

    folder: Path
    sha: str
    rows: tuple[Row, ...]
    sizes: Mapping[str, int]

    @classmethod
    def read(cls, folder: Path, settings: SourceSettings, sha: str | None = None) -> Objects:
        """The tree of this commit, else of FETCH_HEAD. Reject as soon as it is over a limit that the names show."""
        with git.Repo(folder) as repository:
            commit = sha or repository.git.rev_parse("FETCH_HEAD")
            rows = tuple(_files(_listed(repository, commit), settings))
            return cls(folder, commit, rows, _sizes(repository, {row.blob for row in rows}))

    @classmethod
    def local(cls, folder: Path, ref: str, settings: SourceSettings) -> Objects:
        """The tree of a ref of a bare repository on this machine; Reject where it cannot be read or is too large."""
        try:
            with git.Repo(folder) as repository:
                sha = repository.git.rev_parse("--verify", "--end-of-options", f"{ref}^{{commit}}")
            return cls.read(folder, settings, sha)
        except (git.GitCommandError, git.InvalidGitRepositoryError) as error:
            raise Reject(f"{folder} has no commit {ref} that can be read", evidence=str(error)[-500:]) from error

    def missing(self, wanted: Callable[[str], bool], counted: Callable[[str], bool]) -> list[str]:
        """The blobs to fetch: those of the wanted files, and a sample of each ending of those that count; sorted."""
        absent = [row for row in self.rows if row.blob not in self.sizes]
        chosen = {row.blob for row in absent if wanted(row.path)}
        by_ending: defaultdict[str, list[Row]] = defaultdict(list)
        for row in absent:
            if counted(row.path):
                by_ending[_ending(row.path)].append(row)
        for rows in by_ending.values():
            chosen.update(row.blob for row in _spread(rows, SAMPLE))
        return sorted(chosen)

    def snapshot(self, wanted: Callable[[str], bool], settings: SourceSettings) -> Snapshot:
        """The tree, and the content of the wanted files within the limits.

        A file that was not fetched counts with the mean of its ending, or with nothing where that is not known.
        """
        means = self._means()
        tree = tuple(
            TreeEntry(row.path, self.sizes.get(row.blob, means.get(_ending(row.path), 0)), row.mode)
            for row in self.rows
        )
        blobs = {row.path: row.blob for row in self.rows if row.blob in self.sizes}
        paths = readable(((path, self.sizes[blob]) for path, blob in blobs.items()), wanted, settings)
        with git.Repo(self.folder) as repository:
            contents = {
                blob: repository.odb.stream(bytes.fromhex(blob)).read() for blob in {blobs[path] for path in paths}
            }
        return Snapshot(self.sha, tree, {path: contents[blobs[path]] for path in paths})

    def _means(self) -> dict[str, int]:
        known: defaultdict[str, list[int]] = defaultdict(list)
        for row in self.rows:
            if row.blob in self.sizes:
                known[_ending(row.path)].append(self.sizes[row.blob])
        return {ending: sum(sizes) // len(sizes) for ending, sizes in known.items()}


def _listed(repository: git.Repo, commit: str) -> Iterator[bytes]:
    """The entries of `ls-tree -r -t -z` as they come; git ends with the iteration.

    Folders are listed too: a few small trees that name each other can stand for billions of empty ones.
    """
    process = repository.git.ls_tree("-r", "-t", "-z", commit, as_process=True)
    rest = b""
    try:
        while chunk := process.proc.stdout.read(CHUNK):
            *entries, rest = (rest + chunk).split(b"\0")
            yield from entries
            if len(rest) > CHUNK:
                yield rest
    finally:
        process.proc.kill()
        process.proc.wait()
        process.proc.stdout.close()
        process.proc.stderr.close()


def _files(listed: Iterable[bytes], settings: SourceSettings) -> Iterator[Row]:
    """The files; links and submodules lead elsewhere and are left out, but count against the limits as all does."""
    most, deepest = settings.clone_max_files, settings.clone_max_depth
    names = most * MEAN_PATH
    for count, entry in enumerate(listed, 1):
        meta, _, path = entry.partition(b"\t")
        names -= len(path)
        if count > most or names < 0:
            raise Reject(
                f"the repository has more files and folders than the limit CLONE_MAX_FILES={most}"
                f" (or names of more than {MEAN_PATH} bytes in the mean); raise it if that is meant"
            )
        if path.count(b"/") > deepest:
            raise Reject(f"the repository has folders that are deeper than the limit CLONE_MAX_DEPTH={deepest}")
        if len(path) > LONGEST_PATH:
            raise Reject(f"the repository has a path of more than {LONGEST_PATH} bytes: {path[:80]!r}…")
        mode, _, blob = meta.decode().split()
        if mode in FILES:
            yield Row(path.decode(errors="backslashreplace"), mode, blob)


def _sizes(repository: git.Repo, blobs: Iterable[str]) -> dict[str, int]:
    """Blob → bytes, of those that are here."""
    with tempfile.TemporaryFile() as asked:
        asked.write("\n".join(blobs).encode() + b"\n")
        asked.seek(0)
        answer = repository.git.cat_file("--batch-check=%(objectname) %(objectsize)", istream=asked)
    pairs = (line.split() for line in answer.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}  # noqa: PLR2004 - a pair


def _spread(rows: Sequence[Row], count: int) -> Iterable[Row]:
    """At most so many of the rows, evenly spread over their order."""
    return rows if len(rows) <= count else (rows[number * len(rows) // count] for number in range(count))


def _ending(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[2].lower()
