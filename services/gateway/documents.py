"""What goes in and out of the API as JSON: bodies, queries and answers; the OpenAPI document is made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.events import Analysis, Decision, Origin, Submission
from shared.history import Status

Text = Annotated[str, Field(max_length=250)]
MAX_PAGE = 200
# What was listed as an option once, or is asked for often, and is a matter of the whole installation here.
OF_THE_INSTALLATION = {
    "provider": "which model writes is a setting of the installation (LLM_PROVIDER)",
    "model": "which model writes is a setting of the installation (OLLAMA_MODEL, OPENAI_MODEL, CLAUDE_CODE_MODEL)",
    "registry": "the registry is a setting of the installation (NEXUS_REGISTRY)",
    "requested_by": "who asks is whoever the token belongs to",
}


def _no_number(moment: Any) -> Any:
    """Refuse what is no date: a number could be seconds or milliseconds."""
    if not isinstance(moment, str) or "-" not in moment[1:]:
        raise ValueError("give a time such as 2026-01-31T12:00:00Z")
    return moment


def _with_zone(moment: datetime) -> datetime:
    """Refuse a time that says nothing of its zone."""
    if moment.tzinfo is None:
        raise ValueError("give the time with its zone, such as 2026-01-31T12:00:00Z")
    return moment


Moment = Annotated[datetime, BeforeValidator(_no_number), AfterValidator(_with_zone)]


class Document(BaseModel):
    """A JSON object of the API; what is not known is refused, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Bodies


class Workflow(Submission):
    """What to make a pipeline for, and how. `auto_heal: false` is `heal_attempts: 0`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"not": {"required": ["requested_by"]}})

    auto_heal: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _takes_no_option_that_does_nothing(cls, body: Any) -> Any:
        """Refuse what is not a submission's to say, each with where it is said."""
        said = [
            f"{name}: {why}" for name, why in OF_THE_INSTALLATION.items() if isinstance(body, dict) and name in body
        ]
        if said:
            raise ValueError("; ".join(said))
        return body

    @model_validator(mode="after")
    def _heals_or_not(self) -> Workflow:
        """Refuse two answers to one question."""
        if self.auto_heal is False and self.heal_attempts:
            raise ValueError("auto_heal is false and heal_attempts is not 0; leave one of them out")
        return self

    def submission(self, requested_by: str) -> Submission:
        """The submission as events carry it."""
        values = self.model_dump(exclude={"auto_heal"}) | {"requested_by": requested_by}
        if self.auto_heal is False:
            values["heal_attempts"] = 0
        return Submission.model_validate(values)


class Cancel(Document):
    """Why a run is ended; it stands in the log."""

    reason: str = Field("", max_length=1000)


class Discard(Document):
    """Why a dead letter is let go; it stands beside it."""

    reason: str = Field("", max_length=1000)


class Retry(Document):
    """From which event to go on, a type or a type with an attempt (`files.generated.1`), and with which options.

    Without `from` it is the event that the failed phase had in hand; an option that is null is taken away.
    """

    model_config = ConfigDict(populate_by_name=True)

    start: str | None = Field(None, alias="from", max_length=64)
    options: dict[str, Any] = Field(default_factory=dict, max_length=20)


class Golden(Document):
    """A golden template: both files, for repositories like the one of this analysis."""

    pipeline: str = Field(min_length=1)
    dockerfile: str = Field(min_length=1)
    analysis: Analysis


# Queries


class RunsQuery(Document):
    """Which runs. `since` and `until` are about the time of submission; `cursor` is the `next` of the page before."""

    status: Status | None = None
    project: Text | None = None
    language: Text | None = None
    decision: Decision | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: int = Field(50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, pattern=r"^[0-9A-Za-z_-]{1,64}$")


class EventsQuery(Document):
    """Events after a sequence of the log; with `data=false` their envelopes alone."""

    after: int | None = Field(None, ge=0, le=2**53)
    limit: int = Field(100, ge=1, le=500)
    data: bool = True


class RunEventsQuery(Document):
    """Events of one run after a sequence of the log; with `data=false` their envelopes alone."""

    after: int | None = Field(None, ge=0, le=2**53)
    data: bool = True


class FilesQuery(Document):
    """Of which attempt; without it the latest."""

    attempt: int | None = Field(None, ge=1, le=100_000)


class DiffQuery(Document):
    """From which attempt to which; without them from the one before the latest to the latest."""

    model_config = ConfigDict(populate_by_name=True)

    begin: int | None = Field(None, ge=1, le=100_000, alias="from")
    end: int | None = Field(None, ge=1, le=100_000, alias="to")


class TemplatesQuery(Document):
    """Of one language only."""

    language: Text | None = None


class AnalysisQuery(Document):
    """Which repository, at which branch, tag or commit, and which folder of it."""

    repo_url: str = Field(min_length=1, max_length=2048)
    ref: Text | None = None
    subfolder: str | None = Field(None, max_length=512)


# Answers


class Links(Document):
    """Where to look further."""

    self: str
    events: str


class Accepted(Document):
    """A run that was submitted."""

    run_id: str
    status: Literal["submitted"] = "submitted"
    links: Links


class Retried(Document):
    """A run that goes on: the event that was published again, under which attempt."""

    run_id: str
    attempt: int
    event: str
    links: Links


class RunRow(Document):
    """One run of a list. `project` is where it commits, `heals` the repairs so far, `reason` why it failed."""

    run_id: str
    status: Status
    phase: str
    attempt: int
    started: datetime
    updated: datetime
    repo_url: str | None
    ref: str | None
    project: str | None
    language: str | None
    framework: str | None
    decision: Decision | None
    origin: Origin | None
    heals: int
    requested_by: str | None
    commit_url: str | None
    merge_request_url: str | None
    pipeline_url: str | None
    failed_in: str | None
    reason: str | None


class RunsPage(Document):
    """Runs, newest first. The list is true up to `sequence` of the log; so many sequences it is behind."""

    runs: list[RunRow]
    next: str | None
    sequence: int
    behind: int


class EventDocument(Document):
    """One event: its envelope, and its data as `docs/events` describes it by type."""

    sequence: int
    type: str
    subject: str
    run_id: str
    attempt: int
    time: datetime
    source: str
    cause: str | None
    by: str | None
    data: dict[str, Any] | None = None


class EventsPage(Document):
    """Events in the order of the log; `next` is the `after` of the next page, and stays the same at the end."""

    events: list[EventDocument]
    next: int


class FilesDocument(Document):
    """The files of one attempt by their paths, and the attempts that have any."""

    run_id: str
    attempt: int
    attempts: list[int]
    files: dict[str, str]


class DiffDocument(Document):
    """What changed between two attempts: a unified diff by path, and none for a file that is the same."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    run_id: str
    begin: int = Field(alias="from")
    end: int = Field(alias="to")
    diff: dict[str, str]


class TemplateRow(Document):
    """A template without its files."""

    id: str
    collection: str
    language: str
    framework: str | None
    version: str | None
    package_manager: str | None
    build_tool: str | None
    stages_count: int


class TemplatesDocument(Document):
    """Templates by their ids."""

    templates: list[TemplateRow]


class StoredDocument(Document):
    """A template that is in the store; `new` where it was not there before."""

    id: str
    collection: str
    new: bool


class LetterRow(Document):
    """A dead letter: what a service could not handle, and why. `id` is `<service>.<sequence of the event>`.

    `outcome` is what a person made of it, null while it waits for one; `next` what was published for it.
    """

    id: str
    service: str
    sequence: int
    subject: str
    reason: str
    time: datetime
    run_id: str | None
    outcome: Literal["redriven", "discarded"] | None
    settled_by: str | None
    next: str | None


class LetterDocument(LetterRow):
    """A dead letter with its body as text."""

    body: str


class LettersDocument(Document):
    """Dead letters, oldest first."""

    letters: list[LetterRow]


class AnalysisDocument(Document):
    """What a repository is; nothing was submitted and nothing is kept."""

    repo_url: str
    commit_sha: str
    analysis: Analysis


class Health(Document):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Document):
    """Whether the log has all its streams and consumers, and what is missing."""

    ready: bool
    problems: list[str]


class Heard(Document):
    """What became of a webhook."""

    status: Literal["heard", "known", "ignored"]


class Problem(BaseModel):
    """Problem details (RFC 9457); `detail` says what to do."""

    type: str
    status: int
    title: str
    detail: str
