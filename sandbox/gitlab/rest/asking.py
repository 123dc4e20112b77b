"""What a request asks: who asks, which project and record are meant, and what its parameters say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from sandbox.gitlab.access import Caller
from sandbox.gitlab.forge import Forge
from sandbox.gitlab.refusals import Forbidden, Invalid, NotFound, Unauthorized

if TYPE_CHECKING:
    from sandbox.gitlab.repository import Repository
    from sandbox.gitlab.store import Row

FORGE = web.AppKey("forge", Forge)
CALLER = web.RequestKey("caller", Caller)


def base_url(request: web.Request) -> str:
    """What links begin with."""
    return request.app[FORGE].base_url


def part(request: web.Request, name: str) -> str:
    """One part of the path, decoded to the end: a slash in it comes as %2F."""
    return unquote(request.match_info[name])


def caller(request: web.Request) -> Caller:
    """Who asks; Unauthorized where nobody said."""
    if CALLER not in request:
        raise Unauthorized
    return request[CALLER]


def project(request: web.Request) -> Row:
    """The project of the path, by id or full path; NotFound where the caller sees none."""
    row = request.app[FORGE].project(part(request, "id"))
    seen = request[CALLER].sees(row) if CALLER in request else row["visibility"] == "public"
    if not seen:
        raise NotFound("Project")
    return row


def require(request: web.Request, level: int, words: str = "403 Forbidden") -> Row:
    """The project, where the caller has the level in it; Unauthorized, NotFound or Forbidden where not."""
    who = caller(request)
    row = project(request)
    if who.level_in(row) < level:
        raise Forbidden(words)
    return row


def repository(request: web.Request) -> Repository:
    """The repository of the project of the path."""
    return request.app[FORGE].repository(project(request))


def record(request: web.Request, kind: str, name: str, *, part_of_path: str = "") -> Row:
    """A record that the path names by id, if it belongs to the project; NotFound (`name`) where not."""
    key = request.match_info[part_of_path or kind]
    row = request.app[FORGE].store.get(kind, int(key)) if key.isdigit() else None
    if row is None or row["project_id"] != project(request)["id"]:
        raise NotFound(name)
    return row


async def resolved(repo: Repository, ref: str | None, name: str) -> str:
    """The sha of a ref; NotFound (`name`) where there is none."""
    sha = await repo.resolve(ref or "")
    if sha is None:
        raise NotFound(name)
    return sha


async def parameters(request: web.Request, *required: str) -> dict[str, Any]:
    """Those of the address and of the body, JSON or form; Invalid names what is missing."""
    given: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        body = await request.json() if await request.read() else {}
        if not isinstance(body, dict):
            raise Invalid("The request body is not a JSON object")
        given |= body
    elif request.can_read_body:
        given |= dict(await request.post())
    missing = [f"{name} is missing" for name in required if given.get(name) is None]
    if missing:
        raise Invalid(", ".join(missing))
    return given


def listed(given: Any) -> list[str]:
    """A list that came as a list or as words with commas."""
    if given is None:
        return []
    return [str(one) for one in given] if isinstance(given, list) else [one for one in str(given).split(",") if one]


def truth(given: Any) -> bool:
    """A boolean as forms and JSON carry it."""
    return given is True or str(given).lower() in {"true", "1", "on", "yes"}
