"""Every error of the API as problem details (RFC 9457) with a sentence that says what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway import decide
from shared.dead_letters import NotRedrivable
from shared.errors import Conflict, Reject, Retry
from shared.logging import logger
from shared.retry import NotRetryable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

RETRY_AFTER = "5"
# aiohttp says only what went wrong in these.
ADVICE = {
    404: "there is nothing at this path; /api/v1/openapi.json lists what there is",
    405: "this path is not asked in that way; the header Allow names how",
    413: "the body is larger than GATEWAY_MAX_BODY allows",
}
log = logger("gateway")


class Refused(Exception):  # noqa: N818 - named after the answer
    """The request is answered with this status and sentence."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """`detail` says what to do about it."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Problem details as a response."""
    body = decide.problem(status, HTTPStatus(status).phrase, detail)
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is answered as problem details; what nobody expected is logged, and not told to the client."""
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except Exception as error:
        known = _answered(error)
        if known is None:
            log.exception("a request could not be answered", method=request.method, path=request.path)
        return known or answer(500, "the gateway failed; its log says why")


def _answered(error: Exception) -> web.Response | None:
    """The answer to an error that was raised on purpose; None for any other."""
    match error:
        case Refused():
            return answer(error.status, error.detail, error.headers)
        case Retry():
            return answer(503, f"{error}; nothing was done, ask again later", {"Retry-After": RETRY_AFTER})
        case Conflict() | NotRetryable() | NotRedrivable():
            return answer(409, str(error))
        case decide.BadRequest() | Reject():
            return answer(422, str(error))
        case web.HTTPException():
            kept = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return answer(error.status, ADVICE.get(error.status, error.reason), kept)
    return None
