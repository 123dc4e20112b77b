"""The ports: what the services need of the outside, as protocols. Adapters and fakes both implement these.

Every method raises `shared.errors.Retry` where the other side is not available and `Reject` where it said a final no.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from shared.ci.places import Place
    from shared.events import BlobRef, Commit, Job, MergeRequest, Pipeline, Template


@dataclass(frozen=True)
class TreeEntry:
    """One file of a repository tree; `size` in bytes, 0 where it is not known, estimated where it was not fetched."""

    path: str
    size: int
    mode: str = "100644"


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit: all file names, and the content of those that were asked for."""

    commit_sha: str
    tree: tuple[TreeEntry, ...]
    contents: Mapping[str, bytes]


class Source(Protocol):
    """Reads a remote repository without checking anything out."""

    async def read(self, url: str, ref: str | None) -> Snapshot:
        """The tree of `ref` (None: the default branch) and the content of its manifests."""
        ...


class Blobs(Protocol):
    """Content-addressed object store for what is too large for an event."""

    async def put(self, data: bytes) -> BlobRef:
        """Store if absent; the reference to it."""
        ...

    async def get(self, ref: BlobRef) -> bytes:
        """The bytes, checked against the digest."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What a repository asks of the templates.

    `languages`: any of these. `fits`: the key of its assumptions (`shared.fit`), of which all templates are wanted that
    fit. `likes`: feature (`name=value`) → weight, by which the nearest of the others are found.
    """

    languages: tuple[str, ...]
    fits: str = ""
    likes: Mapping[str, float] = field(default_factory=dict)


class Embedder(Protocol):
    """Makes vectors; `id` names the method, and vectors of two ids never mix."""

    id: str

    async def embed(self, features: Sequence[Mapping[str, float]]) -> list[Sequence[float]]:
        """One vector for each set of features (`name=value` → weight)."""
        ...


class TemplateStore(Protocol):
    """The templates in ChromaDB."""

    async def find(self, wanted: Wanted) -> list[Template]:
        """The templates worth ranking, from both collections: those that fit and the nearest, all where there are few.

        Their files are empty texts, or None where there is none: `get` has them.
        """
        ...

    async def put(self, template: Template) -> bool:
        """Store by id, over what was there; True where the id was new."""
        ...

    async def replace(self, collection: str, prefix: str, templates: Sequence[Template]) -> int:
        """How many were new: of the collection's ids with this prefix exactly those of the templates are left."""
        ...

    async def remove(self, template_id: str) -> bool:
        """Whether there was such a template; it is gone now."""
        ...

    async def get(self, template_id: str, collection: str | None = None) -> Template | None:
        """One template by id, from that collection (None: either)."""
        ...


@dataclass(frozen=True)
class Completion:
    """What a model answered; tokens are 0 where the provider does not tell, `cost` in US dollars None."""

    text: str
    model: str
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float | None = None


# Is told how much there is so far: of an answer the tokens, of a copy the bytes.
Progress = Callable[[int], Awaitable[None]]


async def unheard(_amount: int) -> None:
    """Progress that nobody listens to."""


class Model(Protocol):
    """A language model."""

    name: str

    async def complete(
        self, system: str, prompt: str, schema: Mapping[str, object], progress: Progress = unheard
    ) -> Completion:
        """The answer to one prompt, asked for as JSON of that schema; the caller validates it."""
        ...


@dataclass(frozen=True)
class Manifest:
    """A manifest in a registry; `size` is the sum of its layers in bytes where known."""

    digest: str
    size: int | None = None


class Registry(Protocol):
    """An OCI registry, read side."""

    async def manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest of a tag or digest; None where the registry says that it does not exist."""
        ...

    async def tags(self, repository: str) -> tuple[str, ...]:
        """All tags of a repository; empty where it does not exist."""
        ...


class Sources(Protocol):
    """The registries that images come from, and their mirrors."""

    async def digest(self, place: Place) -> str | None:
        """The digest of the image at this place now; None where it does not have it."""
        ...


class Copier(Protocol):
    """Copies an image with all its platforms between registries."""

    async def copy(self, place: Place, target: str, progress: Progress = unheard) -> None:
        """Copy what is at the place to `target` (`host/repository:tag`); `progress` is told of the bytes."""
        ...


class Leases(Protocol):
    """Keeps replicas apart: what only one at a time should do."""

    def lease(self, key: str, seconds: float = 30.0) -> AbstractAsyncContextManager[None]:
        """Wait for the key, and hold it as long as the context is open; a holder that dies frees it after `seconds`.

        It is lost where the log is away longer than that: what is done under it must be right when done twice.
        """
        ...


@dataclass(frozen=True)
class Project:
    """A GitLab project."""

    id: int
    path: str
    default_branch: str | None
    web_url: str


@dataclass(frozen=True)
class FileChange:
    """One file of a commit; with `last_commit_id` an update is refused where a later commit changed the file."""

    action: Literal["create", "update"]
    path: str
    content: str
    last_commit_id: str | None = None


@dataclass(frozen=True)
class Message:
    """What a commit says, and who is named as its author (`Name <address>`); None leaves that to GitLab."""

    text: str
    author: str | None = None


class GitLab(Protocol):
    """What greenrun asks of GitLab. All calls have a time limit."""

    async def project(self, path_or_id: str) -> Project:
        """The project by id or full path."""
        ...

    async def find_project(self, path_or_id: str) -> Project | None:
        """The project by id or full path; None where the token sees none."""
        ...

    async def create_project(self, path: str) -> Project:
        """A new, private, empty project, or the one that has this path already."""
        ...

    async def lint(self, project_id: int, pipeline: str) -> tuple[str, ...]:
        """What GitLab's own lint says against a pipeline file in this project; empty where it takes it."""
        ...

    async def files_at(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """Path → content for those of `paths` that exist at `ref`; empty where the ref does not exist."""
        ...

    async def last_commits(self, project_id: int, ref: str, paths: Sequence[str]) -> dict[str, str]:
        """Path → id of the last commit that changed it, for those of `paths` that exist at `ref`."""
        ...

    async def find_commit(self, project: Project, branch: str, trailer: str, since: datetime) -> Commit | None:
        """The newest commit of the branch since then with this trailer line; None where branch or commit is missing."""
        ...

    async def commit(
        self, project: Project, branch: str, start_branch: str | None, message: Message, changes: Sequence[FileChange]
    ) -> Commit:
        """One commit with all changes; `start_branch` creates the branch. Never repeated by the client."""
        ...

    async def pipelines_of(
        self, project_id: int, shas: Collection[str], since: datetime
    ) -> dict[str, tuple[Pipeline, ...]]:
        """Commit → its pipelines, newest first, without jobs and YAML errors; commits that have none are left out.

        One request for one commit, and for many as many as a list of all that were updated since then has pages.
        """
        ...

    async def pipeline(self, project_id: int, pipeline_id: int) -> Pipeline:
        """One pipeline with all its jobs (latest attempts)."""
        ...

    async def trace(self, project_id: int, job: Job) -> bytes:
        """The trace of a job; empty where it has none."""
        ...

    async def retry_pipeline(self, project_id: int, pipeline_id: int) -> None:
        """Run the failed jobs of a pipeline again."""
        ...


@dataclass(frozen=True)
class Note:
    """A comment of a merge request."""

    id: int
    body: str


class MergeRequests(Protocol):
    """The merge requests of GitLab's projects."""

    async def find(self, project: Project, branch: str, mark: str) -> MergeRequest | None:
        """The one from this branch with the mark in its description, whatever became of it, else an open one."""
        ...

    async def open(self, project: Project, branch: str, title: str, description: str) -> MergeRequest:
        """A new one into the default branch. Never repeated by the client."""
        ...

    async def note(self, project_id: int, iid: int, mark: str) -> Note | None:
        """The oldest comment with the mark in it."""
        ...

    async def write_note(self, project_id: int, iid: int, body: str, replaces: Note | None) -> None:
        """A new comment, or another text in the place of one."""
        ...

    async def mark_ready(self, project_id: int, iid: int) -> None:
        """It is no draft any more; nothing is done to one that is none, or that is not open."""
        ...


class Importer(Protocol):
    """Brings a repository's branch to a project of GitLab."""

    async def push(self, url: str, ref: str | None, project_path: str) -> str:
        """The name of the branch: `ref`, or the default branch, with its whole history, pushed without a pipeline."""
        ...
