"""What shows runs: the list from the projection, one run from the log itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

from services.gateway import decide
from services.gateway.documents import (
    DiffDocument,
    DiffQuery,
    FilesDocument,
    FilesQuery,
    RunsPage,
    RunsQuery,
)
from services.gateway.problems import Refused
from services.gateway.projection import Wanted
from services.gateway.state import GATEWAY, history
from shared.history import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.gateway.state import Gateway
    from shared.events import Files

SEQUENCE_HEADER = "Greenrun-Sequence"
PLAIN = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


async def list_runs(request: web.Request) -> web.Response:
    """A page of the list of runs, with the link to the next one."""
    query = decide.query_of(RunsQuery, request.query)
    gateway = request.app[GATEWAY]
    wanted = Wanted(**query.model_dump(exclude={"limit", "cursor"}))
    page = await gateway.runs.page(wanted, query.limit, query.cursor)
    answer = RunsPage(
        runs=[decide.row_of(run) for run in page.runs],
        next=page.next,
        sequence=page.sequence,
        behind=behind(gateway, page.sequence),
    )
    return web.json_response(text=answer.model_dump_json(), headers=_next_link(request, page.next))


def behind(gateway: Gateway, sequence: int) -> int:
    """So many sequences of the log are not in a list that is true up to this one."""
    return max(0, gateway.feed.reached - sequence)


def _next_link(request: web.Request, cursor: str | None) -> dict[str, str]:
    """The Link header (RFC 8288) of the page after this one."""
    if cursor is None:
        return {}
    query = urlencode({**request.query, "cursor": cursor})
    return {"Link": f'<{request.path}?{query}>; rel="next"'}


async def show_run(request: web.Request) -> web.Response:
    """The state of one run, folded from its events; the header names the last of them."""
    records = await history(request)
    sequence = str(records[-1].sequence)
    return web.json_response(fold(records).model_dump(mode="json"), headers={SEQUENCE_HEADER: sequence})


async def show_files(request: web.Request) -> web.Response:
    """Both files of an attempt."""
    query = decide.query_of(FilesQuery, request.query)
    found = decide.files_by_attempt(await history(request))
    attempt = _chosen(found, query.attempt)
    answer = FilesDocument(
        run_id=request.match_info["run_id"],
        attempt=attempt,
        attempts=list(found),
        files=found[attempt].by_path(),
    )
    return web.json_response(text=answer.model_dump_json())


async def show_diff(request: web.Request) -> web.Response:
    """What changed between two attempts."""
    query = decide.query_of(DiffQuery, request.query)
    found = decide.files_by_attempt(await history(request))
    end = _chosen(found, query.end)
    begin = _chosen(found, query.begin or _before(list(found), end))
    answer = DiffDocument(
        run_id=request.match_info["run_id"], begin=begin, end=end, diff=decide.diff_of(found[begin], found[end])
    )
    return web.json_response(text=answer.model_dump_json())


def _before(attempts: Sequence[int], end: int) -> int:
    """The attempt with files before this one; itself where it is the first."""
    return max((attempt for attempt in attempts if attempt < end), default=end)


def _chosen(found: dict[int, Files], attempt: int | None) -> int:
    """The attempt that is asked for, or the latest; Refused with 404 where it has no files."""
    if not found:
        raise Refused(404, "the run has no files yet; follow its events until files.generated")
    chosen = max(found) if attempt is None else attempt
    if chosen not in found:
        raise Refused(404, f"attempt {chosen} has no files; these have: {', '.join(map(str, found))}")
    return chosen


async def show_trace(request: web.Request) -> web.Response:
    """The trace of a job as text; those of failed jobs are kept."""
    records = await history(request)
    number = request.match_info["job"]
    job = decide.job_of(records, int(number))
    if job is None:
        raise Refused(404, f"the run has no job {number}; its pipeline's jobs are in the run")
    if job.trace is None:
        raise Refused(404, f"only traces of failed jobs are kept; this one is at {job.web_url or 'GitLab'}")
    trace = await request.app[GATEWAY].bus.get_blob(job.trace)
    return web.Response(body=trace, content_type="text/plain", charset="utf-8", headers=PLAIN)
