"""GitLab's webhooks: believed by their secret, answered at once, passed on to whoever listens.

GitLab switches a hook off whose receiver fails again and again, so everything that carries the secret is answered 2xx.
What is said is only a hint to the monitors; one that is lost costs a later look.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway import decide
from shared.logging import logger

if TYPE_CHECKING:
    from shared.bus import Bus

PATH = "/api/v1/webhooks/gitlab"
# GitLab sends at most this much (application setting, 25 MiB); a pipeline of hundreds of jobs is far above 64 KB.
MAX_BODY = 25 * 1024 * 1024
KEYS_REMEMBERED = 10_000
log = logger("webhooks")


class Webhooks:
    """Takes them for one gateway."""

    def __init__(self, bus: Bus, secret: str) -> None:
        """`secret` is what X-Gitlab-Token must be; with none every webhook is refused."""
        self._bus = bus
        self._secret = secret
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def take(self, request: web.Request) -> web.Response:
        """202 where it was passed on, 200 where there was nothing to pass on; 401 without the secret."""
        if not decide.is_gitlab(request.headers.get("X-Gitlab-Token"), self._secret):
            advice = "the header X-Gitlab-Token must be WEBHOOK_SECRET" if self._secret else "set WEBHOOK_SECRET"
            raise web.HTTPUnauthorized(reason=advice)
        key = decide.delivery_key(request.headers)
        if key in self._seen:
            return web.json_response({"status": "known"})
        kind = request.headers.get("X-Gitlab-Event")
        news = decide.news_of(kind, await _body(request))
        if news is None:
            log.info("a webhook that says nothing of a pipeline", kind=kind)
            return web.json_response({"status": "ignored"})
        await self._bus.tell(news.subject, news.model_dump())
        self._remember(key)
        return web.json_response({"status": "heard"}, status=202)

    def _remember(self, key: str) -> None:
        """A delivery with this key was passed on; one without a key is never known."""
        if key:
            self._seen[key] = None
        if len(self._seen) > KEYS_REMEMBERED:
            self._seen.popitem(last=False)


async def _body(request: web.Request) -> bytes:
    """The body as far as it may go; of a longer one nothing can be read."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(65536):
        body += chunk
        if len(body) > MAX_BODY:
            return b""
    return bytes(body)
