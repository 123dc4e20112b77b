"""What the API answers; pure."""

from __future__ import annotations

import hmac
import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from shared.events import Submission
from shared.news import News

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.bus import Recorded
    from shared.events import RepoSubmitted
    from shared.history import Run


OPTIONS = tuple(name for name in Submission.model_fields if name not in {"repo_url", "requested_by"})
PIPELINE_HOOK, JOB_HOOK = "Pipeline Hook", "Job Hook"


class BadRequest(ValueError):  # noqa: N818 - named after the answer
    """The request cannot be taken; its text says what to change."""


def submission_of(body: bytes) -> Submission:
    """The submission in a request body; BadRequest names the field and what is wrong with it."""
    try:
        return Submission.model_validate_json(body)
    except ValidationError as error:
        problems = "; ".join(f"{_place(e['loc'])}: {e['msg']}" for e in error.errors())
        raise BadRequest(
            f'{problems}. Expected {{"repo_url": "https://…", …}} with any of: {", ".join(OPTIONS)}'
        ) from error


def accepted(event: RepoSubmitted) -> dict[str, Any]:
    """The answer to a submission: the run and where to follow it."""
    run = f"/api/v1/runs/{event.run_id}"
    return {"run_id": event.run_id, "status": "submitted", "links": {"self": run, "events": f"{run}/events"}}


def run_document(run: Run) -> dict[str, Any]:
    """One run as JSON."""
    return run.model_dump(mode="json")


def event_document(recorded: Recorded) -> dict[str, Any]:
    """One event as JSON: its envelope's facts and its data."""
    return {
        "sequence": recorded.sequence,
        "type": recorded.event.type,
        "subject": recorded.subject,
        "time": recorded.time.isoformat(),
        "source": recorded.source,
        "cause": recorded.cause,
        "data": recorded.event.model_dump(mode="json"),
    }


def problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """Problem details (RFC 9457)."""
    return {"type": "about:blank", "status": status, "title": title, "detail": detail}


def authorized(header: str | None, token: str) -> bool:
    """Whether the Authorization header carries the token; always where no token is set."""
    return not token or hmac.compare_digest((header or "").encode(), f"Bearer {token}".encode())


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


def refusal_to_listen(host: str, token: str) -> str | None:
    """Why the gateway may not listen there: beyond loopback only with a token."""
    if token or host == "localhost":
        return None
    try:
        if ip_address(host).is_loopback:
            return None
    except ValueError:
        pass
    return f"the gateway will not listen on {host} without a token; set GATEWAY_TOKEN or GATEWAY_HOST=127.0.0.1"


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "body"
