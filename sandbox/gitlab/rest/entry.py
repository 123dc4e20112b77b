"""What every request of the API passes through: errors as GitLab's JSON, the limit of requests, the token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.gitlab.refusals import Refusal
from sandbox.gitlab.rest.asking import CALLER, FORGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

API = "/api/v4/"
OWN = f"{API}sandbox/"
NO_ROUTE = {404: "Not Found", 405: "Not Allowed"}


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal as GitLab's JSON; what lies outside the API has its own words."""
    if not request.path.startswith(API):
        return await handler(request)
    try:
        return await handler(request)
    except Refusal as refusal:
        return web.json_response(refusal.document, status=refusal.status)
    except json.JSONDecodeError:
        return web.json_response({"error": "The request body is not valid JSON"}, status=400)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        return web.json_response({"error": f"{error.status} {NO_ROUTE[error.status]}"}, status=error.status)


@web.middleware
async def throttle(request: web.Request, handler: Handler) -> web.StreamResponse:
    """429 in plain text, where the sandbox was told to slow its clients down; that itself is never refused."""
    limit = request.app[FORGE].limit
    if request.path.startswith(API) and not request.path.startswith(OWN) and limit.counts():
        return web.Response(status=429, text="Retry later\n", content_type="text/plain", headers=limit.headers())
    return await handler(request)


@web.middleware
async def authentication(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A token in PRIVATE-TOKEN, as bearer, in the query, or a job's; without one only public projects are read."""
    if request.path.startswith(API):
        access = request.app[FORGE].access
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        token = request.headers.get("PRIVATE-TOKEN") or bearer or request.query.get("private_token")
        job_token = request.headers.get("JOB-TOKEN") or request.query.get("job_token")
        if job_token:
            request[CALLER] = access.job_caller(job_token)
        elif token:
            request[CALLER] = access.caller(token)
            request[CALLER].check_scope(request.method)
    return await handler(request)
