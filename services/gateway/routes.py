"""Every endpoint of the API as a table: the router and the OpenAPI document are both made from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.gateway import documents as doc
from services.gateway import letters, reading, shelves, streaming, submitting, watching, webhooks
from shared.events import Template
from shared.history import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from services.gateway.problems import Handler
    from shared.tokens import Role

API = "/api/v1"
# What an answer is where it is no JSON object of `documents`.
TEXT, STREAM, METRICS = "text/plain", streaming.MEDIA_TYPE, "metrics"


@dataclass(frozen=True)
class Endpoint:
    """One thing that can be asked. `role` None: of everybody. `answers` maps a status to what comes with it.

    `streams`: the same path also gives server-sent events to who accepts them. `headers` are what else it reads.
    `refusals` are the statuses of its own errors; those of tokens, limits and outages come by themselves.
    """

    method: str
    path: str
    handler: Handler | None
    role: Role | None
    summary: str
    answers: Mapping[int, object]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    streams: bool = False


KEY = {"Idempotency-Key": "the same key gives the same run for seven days; with another submission it is refused"}
LAST = {"Last-Event-ID": "a stream goes on after the event with this id, which is its sequence in the log"}
LIST_OF_EVENTS = "list[EventDocument]"

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("POST", f"{API}/pipeline/workflow", submitting.submit, "submitter"),
        "Ask for a pipeline",
        {202: doc.Accepted},
        body=doc.Workflow,
        headers=KEY,
        refusals=(422,),
    ),
    Endpoint(
        *("GET", f"{API}/runs", reading.list_runs, "viewer"),
        "List runs, newest first",
        {200: doc.RunsPage},
        query=doc.RunsQuery,
        refusals=(422,),
    ),
    Endpoint(
        *("GET", f"{API}/runs/{{run_id}}", reading.show_run, "viewer"),
        "Show a run",
        {200: Run},
        refusals=(404,),
    ),
    Endpoint(
        *("GET", f"{API}/runs/{{run_id}}/events", streaming.run_events, "viewer"),
        "The events of a run",
        {200: LIST_OF_EVENTS},
        query=doc.RunEventsQuery,
        headers=LAST,
        refusals=(404, 422),
        streams=True,
    ),
    Endpoint(
        *("GET", f"{API}/runs/{{run_id}}/files", reading.show_files, "viewer"),
        "The files of an attempt",
        {200: doc.FilesDocument},
        query=doc.FilesQuery,
        refusals=(404, 422),
    ),
    Endpoint(
        *("GET", f"{API}/runs/{{run_id}}/diff", reading.show_diff, "viewer"),
        "What changed between two attempts",
        {200: doc.DiffDocument},
        query=doc.DiffQuery,
        refusals=(404, 422),
    ),
    Endpoint(
        *("GET", f"{API}/runs/{{run_id}}/jobs/{{job}}/trace", reading.show_trace, "viewer"),
        "The trace of a failed job",
        {200: TEXT},
        refusals=(404,),
    ),
    Endpoint(
        *("POST", f"{API}/runs/{{run_id}}/cancel", submitting.cancel, "submitter"),
        "End a run",
        {200: Run},
        body=doc.Cancel,
        refusals=(404, 409, 422),
    ),
    Endpoint(
        *("POST", f"{API}/runs/{{run_id}}/retry", submitting.retry, "submitter"),
        "Go on with a run from one of its events",
        {202: doc.Retried},
        body=doc.Retry,
        refusals=(404, 409, 422),
    ),
    Endpoint(
        *("GET", f"{API}/events", streaming.all_events, "viewer"),
        "The events of all runs",
        {200: doc.EventsPage},
        query=doc.EventsQuery,
        headers=LAST,
        refusals=(422,),
        streams=True,
    ),
    Endpoint(
        *("GET", f"{API}/analysis", shelves.analyze, "submitter"),
        "What a repository is; a dry run",
        {200: doc.AnalysisDocument},
        query=doc.AnalysisQuery,
        refusals=(422,),
    ),
    Endpoint(
        *("GET", f"{API}/templates", shelves.list_templates, "viewer"),
        "List the templates",
        {200: doc.TemplatesDocument},
        query=doc.TemplatesQuery,
        refusals=(422,),
    ),
    Endpoint(
        *("POST", f"{API}/templates", shelves.add_template, "operator"),
        "Put a golden template in front",
        {200: doc.StoredDocument, 201: doc.StoredDocument},
        body=doc.Golden,
        refusals=(422,),
    ),
    Endpoint(
        *("GET", f"{API}/templates/{{template_id}}", shelves.show_template, "viewer"),
        "Show a template with its files",
        {200: Template},
        refusals=(404,),
    ),
    Endpoint(
        *("DELETE", f"{API}/templates/{{template_id}}", shelves.remove_template, "operator"),
        "Remove a template",
        {204: None},
        refusals=(404,),
    ),
    Endpoint(
        *("GET", f"{API}/dead-letters", letters.list_letters, "viewer"),
        "List the dead letters",
        {200: doc.LettersDocument},
    ),
    Endpoint(
        *("GET", f"{API}/dead-letters/{{letter}}", letters.show_letter, "viewer"),
        "Show a dead letter",
        {200: doc.LetterDocument},
        refusals=(404,),
    ),
    Endpoint(
        *("POST", f"{API}/dead-letters/{{letter}}/redrive", letters.redrive_letter, "operator"),
        "Deliver a dead letter's event again",
        {200: doc.LetterDocument},
        refusals=(404, 409),
    ),
    Endpoint(
        *("POST", f"{API}/dead-letters/{{letter}}/discard", letters.discard_letter, "operator"),
        "Let a dead letter go",
        {200: doc.LetterDocument},
        body=doc.Discard,
        refusals=(404, 409, 422),
    ),
    Endpoint(
        *("POST", webhooks.PATH, None, None),
        "GitLab tells how a pipeline stands; X-Gitlab-Token is WEBHOOK_SECRET",
        {200: doc.Heard, 202: doc.Heard},
        refusals=(401,),
    ),
    Endpoint("GET", "/healthz", watching.healthy, None, "Whether the process answers", {200: doc.Health}),
    Endpoint(
        *("GET", "/readyz", watching.ready, None),
        "Whether the log has all that it needs",
        {200: doc.Readiness, 503: doc.Readiness},
    ),
    Endpoint("GET", "/metrics", watching.metrics, "viewer", "Metrics for Prometheus", {200: METRICS}),
)
