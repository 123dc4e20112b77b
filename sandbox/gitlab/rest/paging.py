"""Pages of a list, with GitLab's Link and X- headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web

from sandbox.gitlab.refusals import Invalid
from sandbox.gitlab.rest.asking import base_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PER_PAGE, MOST = 20, 100


def page(request: web.Request, rows: Iterable[Any], shape: Callable[[Any], Any] = lambda row: row) -> web.Response:
    """One page of the rows; only those of the page are shaped. 20 a page unless asked otherwise, at most 100."""
    items = list(rows)
    number, size = _number(request, "page", 1), min(_number(request, "per_page", PER_PAGE), MOST)
    shown = items[(number - 1) * size : number * size]
    headers = _headers(request, number, size, len(items))
    return web.json_response([shape(row) for row in shown], headers=headers)


def window(request: web.Request, rows: list[Any]) -> list[Any]:
    """The rows of the page that is asked for, where shaping them is asynchronous."""
    number, size = _number(request, "page", 1), min(_number(request, "per_page", PER_PAGE), MOST)
    return rows[(number - 1) * size : number * size]


def paged(request: web.Request, shaped: list[Any], total: int) -> web.Response:
    """The answer with rows that `window` chose of `total`."""
    number, size = _number(request, "page", 1), min(_number(request, "per_page", PER_PAGE), MOST)
    return web.json_response(shaped, headers=_headers(request, number, size, total))


def _number(request: web.Request, name: str, default: int) -> int:
    given = request.query.get(name, str(default))
    if not given.isdecimal() or int(given) < 1:
        raise Invalid(f"{name} is invalid")
    return int(given)


def _headers(request: web.Request, number: int, size: int, total: int) -> dict[str, str]:
    pages = max(1, -(-total // size))
    beside = {"prev": number - 1 if number > 1 else None, "next": number + 1 if number < pages else None}
    url = base_url(request) + request.rel_url.raw_path
    kept = [(key, value) for key, value in request.query.items() if key not in {"page", "per_page"}]
    links = [
        f'<{url}?{urlencode([*kept, ("page", at), ("per_page", size)])}>; rel="{rel}"'
        for rel, at in {**beside, "first": 1, "last": pages}.items()
        if at is not None
    ]
    counted: dict[str, int | str] = {"Page": number, "Per-Page": size, "Total": total, "Total-Pages": pages}
    counted |= {"Next-Page": beside["next"] or "", "Prev-Page": beside["prev"] or ""}
    return {"Link": ", ".join(links), **{f"X-{name}": str(value) for name, value in counted.items()}}
