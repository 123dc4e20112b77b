"""What the API answers; pure."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.gateway.documents import Accepted, Links, RunRow, Workflow
from services.gateway.rows import project_of
from shared.events import Submission
from shared.news import News
from shared.settings import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.bus import Recorded
    from shared.dead_letters import DeadLetter
    from shared.events import Files, Job, Proposal
    from shared.history import Run

MAX_KEY = 255
MAX_DIGITS = 18
OPTIONS = tuple(name for name in Workflow.model_fields if name not in {"repo_url", "requested_by"})
PIPELINE_HOOK, JOB_HOOK = "Pipeline Hook", "Job Hook"
T = TypeVar("T", bound=BaseModel)


class BadRequest(ValueError):  # noqa: N818 - named after the answer
    """The request cannot be taken; its text says what to change."""


def workflow_of(body: bytes) -> Workflow:
    """The submission in a request body; BadRequest names the field and what is wrong with it."""
    try:
        return Workflow.model_validate_json(body, strict=True)
    except ValidationError as error:
        expected = f'Expected {{"repo_url": "https://…", …}} with any of: {", ".join(OPTIONS)}'
        raise BadRequest(f"{_problems(error)}. {expected}") from error


def body_of(model: type[T], body: bytes) -> T:
    """The document in a request body; an empty body is an empty document. BadRequest names what is wrong."""
    try:
        return model.model_validate_json(body or b"{}", strict=True)
    except ValidationError as error:
        raise BadRequest(_problems(error)) from error


def query_of(model: type[T], query: Mapping[str, str]) -> T:
    """The parameters of a request; BadRequest names the one that is wrong or not known."""
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise BadRequest(f"{_problems(error)}. The parameters are: {', '.join(names_of(model))}") from error


def names_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The names of a model's fields as they stand in JSON."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def key_of(caller: str, key: str) -> str:
    """Under which an Idempotency-Key of this caller is kept; BadRequest where it is none."""
    if not 0 < len(key) <= MAX_KEY or not key.isprintable():
        raise BadRequest(f"Idempotency-Key has 1 to {MAX_KEY} printable characters")
    return hashlib.sha256(f"{caller}\0{key}".encode()).hexdigest()


def digest_of(submission: Submission) -> str:
    """What two submissions have in common that ask for the same."""
    return hashlib.sha256(json.dumps(submission.model_dump(), sort_keys=True).encode()).hexdigest()


def position_of(last_event_id: str | None, after: int | None) -> int | None:
    """The sequence after which a client wants events: what it has seen last, else what it asks for."""
    if last_event_id is None:
        return after
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) <= MAX_DIGITS):
        raise BadRequest("Last-Event-ID is the id of an event of this stream, which is a number")
    return int(last_event_id)


def links_of(run_id: str) -> Links:
    """Where to look further for a run."""
    run = f"/api/v1/runs/{run_id}"
    return Links(self=run, events=f"{run}/events")


def accepted(run_id: str) -> Accepted:
    """The answer to a submission: the run and where to follow it."""
    return Accepted(run_id=run_id, links=links_of(run_id))


def options_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a retry; one that is null becomes what it is by itself."""
    fields = Submission.model_fields
    return {name: fields[name].default if value is None and name in fields else value for name, value in wanted.items()}


def letter_row(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as JSON, without its body."""
    settled = letter.settled
    return {
        **{
            name: getattr(letter, name) for name in ("id", "service", "sequence", "subject", "reason", "time", "run_id")
        },
        "outcome": settled and settled.outcome,
        "settled_by": settled and settled.by,
        "next": (settled and settled.next) or None,
    }


def row_of(run: Run) -> RunRow:
    """One run as a list shows it."""
    submission, analysis, failure = run.submission, run.analysis, run.failure
    return RunRow(
        **{name: getattr(run, name) for name in ("run_id", "status", "phase", "attempt", "started", "updated")},
        repo_url=submission and submission.repo_url,
        ref=submission and submission.ref,
        project=project_of(run),
        language=analysis and analysis.language,
        framework=analysis and analysis.framework,
        decision=run.decision,
        origin=run.origin,
        heals=len(run.repairs),
        requested_by=submission and submission.requested_by,
        commit_url=run.commit and run.commit.web_url,
        merge_request_url=run.merge_request and run.merge_request.web_url,
        pipeline_url=run.pipeline and run.pipeline.web_url,
        failed_in=failure and failure.phase,
        reason=failure and failure.reason,
    )


def event_document(recorded: Recorded, *, data: bool = True) -> dict[str, Any]:
    """One event as JSON: its envelope's facts, and its data where it is wanted."""
    event = recorded.event
    document = {
        "sequence": recorded.sequence,
        "type": event.type,
        "subject": recorded.subject,
        "run_id": event.run_id,
        "attempt": event.attempt,
        "time": recorded.time.isoformat(),
        "source": recorded.source,
        "cause": recorded.cause,
        "by": recorded.by,
    }
    return document | ({"data": event.model_dump(mode="json")} if data else {})


def files_by_attempt(records: Iterable[Recorded]) -> dict[int, Files]:
    """The files of each attempt that has any, as the last of its events has them."""
    found: dict[int, Files] = {}
    for recorded in records:
        proposal: Proposal | None = getattr(recorded.event, "proposal", None)
        if proposal is not None:
            found[recorded.event.attempt] = proposal.files
    return dict(sorted(found.items()))


def diff_of(before: Files, after: Files) -> dict[str, str]:
    """A unified diff by path; none for a file that is the same."""
    old = before.by_path()
    diffs = {
        path: "".join(
            difflib.unified_diff(
                old[path].splitlines(keepends=True), text.splitlines(keepends=True), f"a/{path}", f"b/{path}"
            )
        )
        for path, text in after.by_path().items()
    }
    return {path: diff for path, diff in diffs.items() if diff}


def job_of(records: Iterable[Recorded], job_id: int) -> Job | None:
    """The newest that the log says of a job."""
    pipelines = (getattr(recorded.event, "pipeline", None) for recorded in records)
    jobs = [job for pipeline in pipelines if pipeline for job in pipeline.jobs if job.id == job_id]
    return jobs[-1] if jobs else None


def problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """Problem details (RFC 9457)."""
    return {"type": "about:blank", "status": status, "title": title, "detail": detail}


def is_gitlab(header: str | None, secret: str) -> bool:
    """Whether X-Gitlab-Token is the secret; never where none is set."""
    return bool(secret) and hmac.compare_digest((header or "").encode(), secret.encode())


def delivery_key(headers: Mapping[str, str]) -> str:
    """What a webhook has in common with its repetitions: GitLab's Idempotency-Key, before 17.4 its event's UUID."""
    return headers.get("Idempotency-Key") or headers.get("X-Gitlab-Event-UUID") or ""


def news_of(kind: str | None, body: bytes) -> News | None:
    """What a webhook says of a pipeline; None where it is of another kind or cannot be read.

    In a Job Hook `commit.id` is the pipeline's id; its own status there is not the pipeline's.
    """
    try:
        said = json.loads(body)
        if kind == PIPELINE_HOOK:
            about = said["object_attributes"]
            return News(
                project_id=said["project"]["id"], pipeline_id=about["id"], sha=about["sha"], status=about["status"]
            )
        if kind == JOB_HOOK:
            key, status = said.get("pipeline_id") or said["commit"]["id"], said["commit"].get("status") or "running"
            named = {"sha": said["sha"], "status": status, "job": said["build_name"]}
            return News(project_id=said["project_id"], pipeline_id=key, **named)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return None


def refusal_to_listen(host: str, *, authenticates: bool) -> str | None:
    """Why the gateway may not listen there: beyond loopback only where it asks for tokens."""
    if authenticates or is_loopback(host):
        return None
    advice = (
        "set GATEWAY_TOKEN, or GATEWAY_AUTH=tokens and make some ('greenrun token create'), or GATEWAY_HOST=127.0.0.1"
    )
    return f"the gateway will not listen on {host} without authentication; {advice}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{_place(e['loc'])}: {plain(e['msg'])}" for e in error.errors())


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "body"
