"""The facts: frozen models named in the past tense, each on one subject `<type>.<run_id>.<attempt>`.

An event carries all that the phases after it need, so that any event can be published again under the next
attempt (`greenrun retry --from`) and no service has to ask another for state.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from ulid import ULID

Decision = Literal["chromadb-direct", "chromadb-reference", "llm-generated"]
Origin = Literal["template", "template+model", "model", "rules"]
Builder = Literal["kaniko", "buildah", "buildkit"]
Outcome = Literal["failed", "canceled", "skipped", "no_pipeline", "yaml_error", "blocked", "stuck", "deadline"]
ImageState = Literal["present", "copied", "refreshed", "failed", "unresolved"]

# What git takes as a branch's name (git check-ref-format), and an author as git writes one.
BRANCH = re.compile(r"(?![-/.])(?!refs/)(?!.*(?:\.\.|//|/\.|@\{|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\]+(?<![/.])")
AUTHOR = re.compile(r" *([^<>\x00-\x20][^<>\x00-\x1f]*?) *<([^<>\s@]+@[^<>\s@]+)> *")

COMMIT_TAGS: dict[Origin, str] = {
    "template": "[RAG Template]",
    "template+model": "[RAG + LLM]",
    "model": "[AI Generated]",
    "rules": "[Rule Based]",
}


class Fact(BaseModel):
    """A frozen value; fields that a newer writer added are ignored by an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Evidence(Fact):
    """Where a statement comes from: a file (or key in it), the line counted from 1, and the text found there.

    `about` names the field that it supports, e.g. `framework`.
    """

    source: str
    line: int | None = None
    text: str = ""
    about: str = ""


class Submission(Fact):
    """What a person asked for. `project` is the GitLab path or id to commit to; None means the repository itself.

    `subfolder` is the folder of the project to build, where the repository has several. `create_project` makes the
    named project where there is none: empty, or with the repository's branch. `branch` is the one to commit to; None
    means one of the run's own. `author` is that of the commit, `Name <address>`; None leaves it to GitLab.
    `builder` builds the image where greenrun writes the files; None is the installation's own. `heal_attempts` are the
    repairs at most, 0 none, and never more than the installation allows.
    """

    repo_url: str = Field(min_length=1, max_length=2048)
    ref: str | None = None
    subfolder: str | None = Field(None, max_length=512)
    project: str | None = None
    create_project: Literal["empty", "import"] | None = None
    branch: str | None = Field(None, max_length=250)
    merge_request: bool = False
    skip_ci: bool = False
    author: str | None = Field(None, max_length=250)
    builder: Builder | None = None
    heal_attempts: int | None = Field(None, ge=0, le=100)
    requested_by: str | None = None

    @field_validator("subfolder")
    @classmethod
    def _inside(cls, folder: str | None) -> str | None:
        """Refuse a folder that is not one of the repository's."""
        if folder is None:
            return None
        parts = folder.strip("/").split("/")
        if not folder.isprintable() or any(part in {"", ".", ".."} for part in parts):
            raise ValueError("subfolder is a path within the repository, such as apps/web")
        return "/".join(parts)

    @field_validator("branch")
    @classmethod
    def _a_branch(cls, branch: str | None) -> str | None:
        """Refuse what git would not take as a branch's name."""
        if branch is not None and not BRANCH.fullmatch(branch):
            raise ValueError(f"{branch!r} is no name of a branch")
        return branch

    @field_validator("author")
    @classmethod
    def _an_author(cls, author: str | None) -> str | None:
        """Refuse what is no name with an address."""
        if author is not None and not AUTHOR.fullmatch(author):
            raise ValueError("author is a name with an address, such as 'Ada Lovelace <ada@example.com>'")
        return author

    @model_validator(mode="after")
    def _a_path_to_create(self) -> Submission:
        """Refuse a project that is to be created and has no path."""
        if self.create_project and "/" not in (self.project or "").strip("/"):
            raise ValueError("create_project needs the project's path, such as group/name, in project")
        return self

    @field_validator("repo_url", "project")
    @classmethod
    def _no_credentials(cls, url: str | None) -> str | None:
        """Refuse a URL that carries a user or a token: events are kept for ever and tokens never enter them."""
        if url is None:
            return None
        scheme, _, rest = url.partition("://")
        userinfo = rest.split("/", 1)[0].rpartition("@")[0]
        if userinfo and not (scheme == "ssh" and ":" not in userinfo):
            raise ValueError("the URL carries credentials; give the token to the analyzer (GITLAB_TOKEN) instead")
        return url.strip()


class Dependency(Fact):
    """A direct dependency as its manifest declares it; `constraint` is the manifest's own text."""

    name: str
    constraint: str = ""
    dev: bool = False


class Commands(Fact):
    """The shell command for each purpose; None where the repository shows none.

    `test_install` is for what only the tests need, where `install` does not bring it.
    """

    install: str | None = None
    build: str | None = None
    test_install: str | None = None
    test: str | None = None
    lint: str | None = None
    start: str | None = None


class Analysis(Fact):
    """What the repository, or one project in it, is; what was not found is None or empty, never guessed.

    `version` is what the manifest declares, word for word (`^8.1`, `22.x`, `lts/iron`); `release` is one release that
    satisfies it, as an image's tag wants it. `languages` maps to bytes. `services` are what it needs beside it
    (a database, a broker), `system_packages` Debian's names. `confidence` is between 0 and 1; `doubts` say what
    contradicts itself. `root` is the folder of the project within the repository, empty for its root.
    """

    language: str = "unknown"
    framework: str | None = None
    version: str | None = None
    release: str | None = None
    package_manager: str | None = None
    lockfile: str | None = None
    build_tool: str | None = None
    dependencies: tuple[Dependency, ...] = ()
    commands: Commands = Commands()
    entry_point: str | None = None
    ports: tuple[int, ...] = ()
    has_tests: bool = False
    test_runner: str | None = None
    services: tuple[str, ...] = ()
    system_packages: tuple[str, ...] = ()
    licence: str | None = None
    manifests: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()
    languages: dict[str, int] = Field(default_factory=dict)
    root: str = ""
    projects: tuple[Analysis, ...] = ()
    confidence: float = 0.0
    doubts: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Files(Fact):
    """The two files that greenrun writes; nothing else is ever committed."""

    pipeline: str
    dockerfile: str

    def by_path(self) -> dict[str, str]:
        """Path in the repository → content."""
        return {".gitlab-ci.yml": self.pipeline, "Dockerfile": self.dockerfile}

    def digest(self) -> str:
        """Hex sha256 over both files."""
        return hashlib.sha256((self.pipeline + self.dockerfile).encode()).hexdigest()


class Provenance(Fact):
    """Where a proven template comes from; `duration` of its pipeline in seconds."""

    run_id: str
    project_path: str
    commit_sha: str
    pipeline_id: int | None = None
    attempts: int = 1
    origin: Origin
    template_id: str | None = None
    duration: float | None = None


class Template(Fact):
    """A stored pair of files (or one of them) and what it assumes of a repository.

    `version` is a release, as `Analysis.release`; `root` is the folder that the files build.
    `supersedes` is the template that failed on the way and of which this is the healed form.
    """

    id: str
    collection: str
    language: str
    framework: str | None = None
    version: str | None = None
    package_manager: str | None = None
    build_tool: str | None = None
    stages_count: int = 0
    dependencies: tuple[str, ...] = ()
    commands: Commands = Commands()
    entry_point: str | None = None
    root: str = ""
    pipeline: str | None = None
    dockerfile: str | None = None
    supersedes: str | None = None
    provenance: Provenance | None = None


class Candidate(Fact):
    """A template that was considered, with its score by component."""

    id: str
    score: float
    components: dict[str, float] = Field(default_factory=dict)


class BlobRef(Fact):
    """Something too large for an event: its key in the object store, bytes, and hex sha256."""

    key: str
    size: int
    digest: str


class Image(Fact):
    """One image that the files name. `source` is where it comes from, `target` its name in the private registry.

    `size` in bytes; `reason` has the registry's own words where it failed, `error_class` what they mean. `where` are
    the lines that name it, `pulled_from` the mirror or registry that it was copied from.
    """

    source: str
    target: str
    used_by: tuple[str, ...] = ()
    state: ImageState
    digest: str | None = None
    size: int | None = None
    seconds: float = 0.0
    reason: str = ""
    error_class: str = ""
    where: tuple[Evidence, ...] = ()
    pulled_from: str = ""


class Commit(Fact):
    """A commit on GitLab."""

    project_id: int
    project_path: str
    branch: str
    sha: str
    web_url: str


class MergeRequest(Fact):
    """A merge request of the run's branch; `problem` says why there is none, or what could not be done to it."""

    iid: int | None = None
    web_url: str = ""
    draft: bool = True
    problem: str = ""


class Rerun(Fact):
    """Run an existing pipeline again without a commit, because its files are not what failed.

    `last_job_id` is the newest job before it: a newer one shows that GitLab has begun. 0 where it is not known.
    """

    commit: Commit
    pipeline_id: int
    last_job_id: int = 0

    def begun(self, pipeline: Pipeline) -> bool:
        """Whether GitLab runs the pipeline again, or has run it again, as far as its present state tells."""
        if self.last_job_id:
            return any(job.id > self.last_job_id for job in pipeline.jobs)
        return pipeline.status not in {"failed", "canceled"}


class Round(Fact):
    """One question to a model and what came of it; `findings` says why the answer was refused.

    `phase` and `attempt` say who asked in which pass; `seconds` is the model's own time, `cost` in US dollars None
    where the provider does not tell.
    """

    phase: Literal["generator", "healer"] = "generator"
    attempt: int = 1
    model: str
    prompt_version: str
    outcome: Literal["accepted", "refused", "away"]
    findings: tuple[str, ...] = ()
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0


class Repair(Fact):
    """One healing attempt: what failed, what was done about it, and by whom."""

    attempt: int
    error_class: str
    job: str
    evidence: Evidence
    strategy: str
    summary: str
    author: str
    diff: str = ""


class Proposal(Fact):
    """What greenrun proposes to commit, and how it came about."""

    submission: Submission
    analysis: Analysis
    decision: Decision
    origin: Origin
    model: str | None = None
    template_id: str | None = None
    files: Files
    notes: tuple[str, ...] = ()
    rounds: tuple[Round, ...] = ()
    repairs: tuple[Repair, ...] = ()
    rerun: Rerun | None = None

    @property
    def tag(self) -> str:
        """The tag of the commit message: it names what really wrote the files."""
        return COMMIT_TAGS[self.origin]


class Job(Fact):
    """One job as GitLab reports it; `duration` in seconds, `coverage` in percent, `tags` those its runner must have.

    `excerpt` is the failing region of its trace.
    """

    id: int
    name: str
    stage: str
    status: str
    allow_failure: bool = False
    failure_reason: str | None = None
    duration: float | None = None
    coverage: float | None = None
    web_url: str = ""
    tags: tuple[str, ...] = ()
    trace: BlobRef | None = None
    excerpt: str = ""


class Pipeline(Fact):
    """A pipeline at its end; `reasons` says job by job why the gate did not open."""

    id: int | None = None
    status: str
    web_url: str = ""
    yaml_errors: str | None = None
    duration: float | None = None
    jobs: tuple[Job, ...] = ()
    reasons: tuple[str, ...] = ()


class Event(Fact):
    """A fact about one run. `attempt` counts passes through the pipeline, from 1."""

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1

    run_id: str
    attempt: int = Field(default=1, ge=1)

    @property
    def subject(self) -> str:
        """The one subject that holds this event, for ever; also its id."""
        return subject_of(self.type, self.run_id, self.attempt)


class RepoSubmitted(Submission, Event):
    """A person asked for a pipeline."""

    type: ClassVar[str] = "repo.submitted"

    @property
    def submission(self) -> Submission:
        """The request without the run's identity, as later events carry it."""
        return Submission.model_validate(self.model_dump(include=set(Submission.model_fields)))


class RepoAnalyzed(Event):
    """The repository was read at `commit_sha`; `contents` (JSON: path → text) is what a model may be shown of it."""

    type: ClassVar[str] = "repo.analyzed"

    submission: Submission
    commit_sha: str
    analysis: Analysis
    contents: BlobRef | None = None


class TemplateResolved(Event):
    """The path was chosen; `reasons` says why, and for a reference why it is not a direct hit."""

    type: ClassVar[str] = "template.resolved"

    submission: Submission
    analysis: Analysis
    contents: BlobRef | None = None
    decision: Decision
    template: Template | None = None
    candidates: tuple[Candidate, ...] = ()
    reasons: tuple[str, ...] = ()


class FilesGenerated(Event):
    """The files of this attempt exist and passed lint and policy."""

    type: ClassVar[str] = "files.generated"

    proposal: Proposal


class ImagesSeeded(Event):
    """Every image that could be had is in the private registry; the others say why not."""

    type: ClassVar[str] = "images.seeded"

    proposal: Proposal
    images: tuple[Image, ...] = ()


class CommitCreated(Event):
    """The files are on the branch; `created` is False where the commit was there already, and for a rerun.

    `at` is when the committer said so; the monitor's deadline counts from it, whoever watches and however often.
    """

    type: ClassVar[str] = "commit.created"

    proposal: Proposal
    images: tuple[Image, ...] = ()
    commit: Commit
    merge_request: MergeRequest | None = None
    created: bool = True
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class PipelinePassed(Event):
    """The gate opened: every job succeeded."""

    type: ClassVar[str] = "pipeline.passed"

    proposal: Proposal
    images: tuple[Image, ...] = ()
    commit: Commit
    merge_request: MergeRequest | None = None
    pipeline: Pipeline


class PipelineFailed(Event):
    """The gate stayed shut; `outcome` says in which way.

    There is no commit where GitLab's lint refused the files before one was made: the outcome is then `yaml_error`.
    """

    type: ClassVar[str] = "pipeline.failed"

    proposal: Proposal
    images: tuple[Image, ...] = ()
    commit: Commit | None = None
    merge_request: MergeRequest | None = None
    outcome: Outcome
    pipeline: Pipeline


class TemplateStored(Event):
    """The proven files are in the template store; `existed` where the same files were known already."""

    type: ClassVar[str] = "template.stored"

    template_id: str
    collection: str
    existed: bool = False


class RunFailed(Event):
    """The run ended without a green pipeline; `reason` says what, where and what to do.

    `error_class` is that of the failure where a pipeline failed.
    """

    type: ClassVar[str] = "run.failed"

    phase: str
    reason: str
    error_class: str | None = None
    evidence: str = ""
    repairs: tuple[Repair, ...] = ()
    rounds: tuple[Round, ...] = ()


class RunCancelled(Event):
    """A person ended the run."""

    type: ClassVar[str] = "run.cancelled"

    cancelled_by: str | None = None
    reason: str = ""


EVENT_TYPES: dict[str, type[Event]] = {
    event.type: event
    for event in (
        RepoSubmitted,
        RepoAnalyzed,
        TemplateResolved,
        FilesGenerated,
        ImagesSeeded,
        CommitCreated,
        PipelinePassed,
        PipelineFailed,
        TemplateStored,
        RunFailed,
        RunCancelled,
    )
}


def subject_of(event_type: str, run_id: str, attempt: int) -> str:
    """The subject `<type>.<run_id>.<attempt>`; `*` may stand for the run id to build a filter."""
    return f"{event_type}.{run_id}.{attempt}"


def new_run_id() -> str:
    """A fresh ULID: sorts by time, safe as one token of a subject."""
    return str(ULID())


def adopted_run_id(stream_sequence: int, stored_at: datetime) -> str:
    """The run id of a bare `repo.submitted`: a ULID of the time at which the stream stored it and of its sequence.

    The same message gives the same id on every redelivery.
    """
    milliseconds = int(stored_at.timestamp() * 1000)
    return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + stream_sequence.to_bytes(10, "big")))


def run_time(run_id: str) -> datetime:
    """The moment at which the run was submitted, from its id, in UTC."""
    return ULID.from_str(run_id).datetime.astimezone(UTC)
