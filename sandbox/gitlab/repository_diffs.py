"""What lies between two commits, the tags, and merging: git's plumbing again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.gitlab.refusals import Refused
from sandbox.gitlab.repository import EMPTY_TREE, NOWHERE, GitFailed

if TYPE_CHECKING:
    from sandbox.gitlab.repository import Author, Repository


@dataclass(frozen=True)
class FileDiff:
    """One changed file; `diff` is its hunks as git prints them."""

    old_path: str
    new_path: str
    old_mode: str
    new_mode: str
    kind: str
    diff: str


@dataclass(frozen=True)
class Tag:
    """A tag; `message` is empty where it only points at its commit."""

    name: str
    sha: str
    message: str
    created: str | None


async def diff(repository: Repository, old: str | None, new: str) -> list[FileDiff]:
    """The files that differ between two commits; `old` None is before the first commit."""
    between = ("-M", old or EMPTY_TREE, new)
    raw = (await repository.git("diff", "--raw", "-z", *between)).decode(errors="replace").split("\0")
    patch = (await repository.git("diff", "--full-index", *between)).decode(errors="replace")
    hunks = [_hunks(section) for section in f"\n{patch}".split("\ndiff --git ")[1:]]
    return [FileDiff(*meta, hunk) for meta, hunk in zip(_raw(raw), hunks, strict=False)]


def _raw(fields: list[str]) -> list[tuple[str, str, str, str, str]]:
    """Old path, new path, modes and kind (A, M, D, R) of each entry of `git diff --raw -z`."""
    found = []
    rest = iter(fields)
    for meta in rest:
        if not meta.startswith(":"):
            continue
        old_mode, new_mode, _, _, kind = meta[1:].split(" ")
        old = next(rest)
        new = next(rest) if kind[0] in "RC" else old
        found.append((old, new, old_mode, new_mode, kind[0]))
    return found


def _hunks(section: str) -> str:
    at = section.find("\n@@")
    return "" if at < 0 else section[at + 1 :].rstrip("\n") + "\n"


async def stats(repository: Repository, old: str | None, new: str) -> tuple[int, int]:
    """Lines added and removed between two commits."""
    counted = await repository.git("diff", "--numstat", "-M", old or EMPTY_TREE, new)
    rows = [line.split("\t") for line in counted.decode(errors="replace").splitlines() if line]
    return sum(int(row[0]) for row in rows if row[0].isdigit()), sum(int(row[1]) for row in rows if row[1].isdigit())


async def merge_base(repository: Repository, *shas: str) -> str | None:
    """The commit from which all come; None where there is none."""
    try:
        return (await repository.git("merge-base", "--octopus", *shas)).decode().strip()
    except GitFailed:
        return None


async def tags(repository: Repository) -> list[Tag]:
    """All tags, the newest first."""
    fields = (
        "%(refname:strip=2)%00%(objectname)%00%(*objectname)%00%(objecttype)%00%(contents)%00%(creatordate:iso-strict)"
    )
    arguments = ("for-each-ref", "--sort=-creatordate", f"--format={fields}%00%1e", "refs/tags")
    listed = (await repository.git(*arguments)).decode(errors="replace")
    rows = (row.lstrip("\n").split("\0") for row in listed.split("\x1e") if row.strip("\n"))
    return [
        Tag(name, peeled or sha, message.strip() if kind == "tag" else "", at if kind == "tag" else None)
        for name, sha, peeled, kind, message, at, *_ in rows
    ]


async def create_tag(repository: Repository, name: str, sha: str, message: str, author: Author) -> None:
    """A tag, annotated where it has a message; Refused in GitLab's words where it exists or git refuses the name."""
    try:
        await repository.git("check-ref-format", f"refs/tags/{name}")
    except GitFailed as error:
        raise Refused("Tag name invalid") from error
    target = sha
    if message:
        who = {"GIT_COMMITTER_NAME": author.name, "GIT_COMMITTER_EMAIL": author.email}
        ident = (await repository.git("var", "GIT_COMMITTER_IDENT", env=who)).decode().strip()
        text = f"object {sha}\ntype commit\ntag {name}\ntagger {ident}\n\n{message}\n"
        target = (await repository.git("mktag", stdin=text.encode())).decode().strip()
    try:
        await repository.git("update-ref", f"refs/tags/{name}", target, NOWHERE)
    except GitFailed as error:
        raise Refused(f"Tag {name} already exists") from error


async def merged_tree(repository: Repository, ours: str, theirs: str) -> str | None:
    """The tree of both commits merged; None where they conflict."""
    try:
        return (await repository.git("merge-tree", "--write-tree", ours, theirs)).decode().split("\n", 1)[0].strip()
    except GitFailed:
        return None
