"""Who is calling: bearer tokens of `greenrun token`, the one of GATEWAY_TOKEN, or anybody on loopback."""

from __future__ import annotations

import base64
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.gateway.decide import is_loopback
from services.gateway.problems import Refused
from shared.tokens import Role, Token, digest_of, id_of, may
from shared.topology import TOKENS_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.bus import Bus

# A token that was revoked is refused after so many seconds at the latest.
REMEMBERED_SECONDS = 2.0
MOST_REMEMBERED = 1_000
SEND = "send the header 'Authorization: Bearer <token>'; 'greenrun token create' makes one"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="greenrun", Basic realm="greenrun", charset="UTF-8"'}
READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Caller:
    """Whoever asks: the name that events are signed with, the role, and whose limits count."""

    name: str
    role: Role
    key: str


OPEN = Caller("loopback", "operator", "")
FIXED = Caller("GATEWAY_TOKEN", "operator", "GATEWAY_TOKEN")


class Access:
    """Tells callers apart; tokens are kept in the log's server and asked for there."""

    def __init__(self, bus: Bus, fixed: str, *, open_: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`fixed` is GATEWAY_TOKEN; with `open_` whoever sends no token may do everything."""
        self._bus = bus
        self._fixed = fixed
        self._open = open_
        self._clock = clock
        self._known: dict[str, tuple[float, Token | None]] = {}

    async def caller(self, method: str, headers: Mapping[str, str], needed: Role) -> Caller:
        """Who is calling. Refused with 401 or 403 where that is nobody, or nobody who may; Retry where NATS is away."""
        text = token_in(headers.get("Authorization"), method)
        if text is None and self._open:
            refuse_other_sites(headers)
            return OPEN
        caller = await self._of(text or "")
        if caller is None:
            raise Refused(401, SEND, CHALLENGE)
        if not may(caller.role, needed):
            raise Refused(403, f"this token is a {caller.role}'s; what was asked for needs the role {needed}")
        return caller

    async def _of(self, text: str) -> Caller | None:
        # Both are compared as digests: the time tells nothing of the length either.
        if self._fixed and hmac.compare_digest(digest_of(text), digest_of(self._fixed)):
            return FIXED
        identity = id_of(text)
        token = await self._token(identity) if identity else None
        if token is None or not token.opens(text, datetime.now(UTC)):
            return None
        return Caller(token.name, token.role, token.id)

    async def _token(self, identity: str) -> Token | None:
        now = self._clock()
        at, token = self._known.get(identity, (-REMEMBERED_SECONDS, None))
        if now - at < REMEMBERED_SECONDS:
            return token
        record = await self._bus.kept(TOKENS_BUCKET, identity)
        token = Token.model_validate(record) if record else None
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[identity] = (now, token)
        return token


def token_in(header: str | None, method: str) -> str | None:
    """The token in an Authorization header; None where there is no such header, "" where it is of another kind.

    A browser can be asked for a password, which is the token then; it repeats it by itself, also for other sites'
    forms, so that nothing but reading is done by it.
    """
    if not header:
        return None
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic" and method in READING:
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return ""


def refuse_other_sites(headers: Mapping[str, str]) -> None:
    """Refused with 403 where a browser asks on behalf of a page that is not the gateway's own.

    A page can have its visitor's browser post to loopback, and a name can be made to resolve to it.
    """
    host = headers.get("Host", "")
    origin = headers.get("Origin")
    elsewhere = origin is not None and urlsplit(origin).netloc != host
    if (
        elsewhere
        or not is_loopback(urlsplit(f"//{host}").hostname or "")
        or headers.get("Sec-Fetch-Site") == "cross-site"
    ):
        raise Refused(
            403, "without a token the gateway answers only who calls it by a loopback address; set GATEWAY_TOKEN"
        )
