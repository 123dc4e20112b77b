"""How a page is made: templates that escape everything, words and marks of statuses, headers, what is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, select_autoescape

from sandbox.gitlab.clock import now, seconds_between
from sandbox.gitlab.refusals import NotFound
from sandbox.gitlab.repository import FOLDER
from sandbox.gitlab.rest.asking import FORGE
from sandbox.gitlab.shapes_ci import LABELS
from sandbox.gitlab.trace_html import rendered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.gitlab.repository import Repository
    from sandbox.gitlab.store import Row

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MARKS = {"success": "✓", "failed": "✕", "canceled": "⊘", "skipped": "»", "manual": "▸"} | {
    "scheduled": "◷",
    "running": "◔",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def took(row: Row) -> str:
    """How long a pipeline or job took, or takes so far."""
    seconds = seconds_between(row.get("started_at"), row.get("finished_at") or now())
    if seconds is None:
        return ""
    whole = int(seconds)
    return f"{seconds:.1f} s" if whole < 10 else f"{whole // 60}:{whole % 60:02}" if whole >= 60 else f"{whole} s"  # noqa: PLR2004 - a minute


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("sandbox.gitlab", "web"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "label": lambda status: "manual" if status == "manual" else LABELS.get(status, status),
        "mark": lambda status: MARKS.get(status, "○"),
        "took": took,
        "when": lambda at: (at or "").replace("T", " ")[:19],
        "trace": rendered,
    }
    made.filters |= filters
    return made


TEMPLATES = _environment()


@web.middleware
async def not_found(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page for what does not exist."""
    try:
        return await handler(request)
    except NotFound as error:
        if request.path.startswith("/api/"):
            raise
        return page("missing.html", status=404, words=error.document["message"])


def page(template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A whole page."""
    text = TEMPLATES.get_template(template).render(**values)
    return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)


def part(template: str, *, over: bool, **values: Any) -> web.Response:
    """The part of a page that changes while something runs; the script asks again until it is over."""
    text = TEMPLATES.get_template(template).render(**values)
    headers = HEADERS | ({"X-Over": "1"} if over else {})
    return web.Response(text=text, content_type="text/html", headers=headers)


def level(entries: dict[str, tuple[str, str]], path: str) -> list[tuple[str, bool]]:
    """Names below a folder and whether each is a folder, folders first."""
    prefix = f"{path}/" if path else ""
    names = [name for name in entries if name.startswith(prefix) and "/" not in name[len(prefix) :]]
    return sorted(((name, entries[name][0] == FOLDER) for name in names), key=lambda one: (not one[1], one[0]))


def project(request: web.Request) -> Row:
    """The project of the path; NotFound where there is none."""
    return request.app[FORGE].project(request.match_info["project"])


def repository(request: web.Request) -> Repository:
    """Its repository."""
    return request.app[FORGE].repository(project(request))


def record(request: web.Request, kind: str) -> Row:
    """The pipeline or job of the path, if it belongs to the project."""
    row = request.app[FORGE].store.get(kind, int(request.match_info["key"]))
    if row is None or row["project_id"] != project(request)["id"]:
        raise NotFound(kind.capitalize())
    return row
