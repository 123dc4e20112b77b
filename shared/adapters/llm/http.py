"""What the providers over HTTP have in common: one streamed request with limits, and its errors told apart."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from shared.ci.secrets import masked
from shared.errors import Reject, Retry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

CONNECT_SECONDS = 5.0
MAX_ANSWER = 1_000_000


@dataclass(frozen=True)
class Server:
    """A model's server: how people call it, its client, the model's name, seconds for one answer."""

    kind: str
    url: str
    model: str
    timeout: float
    client: httpx.AsyncClient


@asynccontextmanager
async def connected(
    kind: str, setting: str, url: str, model: str, timeout: float, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """The server; nothing is asked before the first prompt. Reject where the setting is no address."""
    if not url.startswith(("http://", "https://")):
        raise Reject(f"{setting} is {url!r}; it begins with http:// or https://")
    limits = httpx.Timeout(timeout, connect=CONNECT_SECONDS)
    async with httpx.AsyncClient(base_url=url, timeout=limits, headers=headers) as client:
        yield Server(kind, shown(url), model, timeout, client)


def shown(url: str) -> str:
    """The address as it may stand in a log or an event: without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@asynccontextmanager
async def asked(server: Server, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of one streamed answer.

    Raises Retry where the server is away, busy or slow, Reject where it cannot do it at all.
    """
    try:
        async with asyncio.timeout(server.timeout), server.client.stream("POST", path, json=body) as answer:
            if answer.status_code != httpx.codes.OK:
                raise refusal(server, answer, await answer.aread())
            yield answer.aiter_lines()
    except TimeoutError as error:
        raise Retry(f"{server.model} at {server.url} gave no answer within {server.timeout:.0f} s") from error
    except httpx.HTTPError as error:
        words = str(error) or type(error).__name__
        raise Retry(f"{server.kind} at {server.url} does not answer: {words}") from error


class Text:
    """An answer as it grows; Reject where it does not stop."""

    def __init__(self, server: Server) -> None:
        """Empty."""
        self._model = server.model
        self._parts: list[str] = []
        self._size = 0
        self.pieces = 0

    def __str__(self) -> str:
        """All that came until now."""
        return "".join(self._parts)

    def add(self, piece: str) -> None:
        """One more piece; a token, mostly."""
        if not piece:
            return
        self._parts.append(piece)
        self._size += len(piece)
        self.pieces += 1
        if self._size > MAX_ANSWER:
            raise Reject(f"{self._model} does not stop: more than {MAX_ANSWER} characters")


def read(server: Server, line: str) -> dict[str, Any]:
    """One line of the stream as JSON. An error in mid-stream comes under 200 as well."""
    try:
        event = json.loads(line)
    except ValueError as error:
        raise foreign(server, line) from error
    if not isinstance(event, dict):
        raise foreign(server, line)
    if "error" in event:
        raise Retry(f"{server.kind} broke off: {_words(event['error'])}")
    return event


def foreign(server: Server, line: str) -> Retry:
    """What answers is something else, such as a proxy."""
    return Retry(f"what answers at {server.url} does not speak {server.kind}'s protocol: {line[:100]!r}")


def broken_off(server: Server) -> Retry:
    """Half an answer is never taken for one."""
    return Retry(f"{server.kind} at {server.url} closed the connection before the answer was complete")


def refusal(server: Server, answer: httpx.Response, body: bytes) -> Retry | Reject:
    """A status that is an error: what may be better later, and what a person has to change."""
    status, kind = answer.status_code, server.kind
    try:
        words = _words(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        words = body.decode(errors="replace")[:200]
    words = masked(words)
    if status == httpx.codes.NOT_FOUND:
        pull = f"; run: ollama pull {server.model}" if kind == "Ollama" else ""
        return Reject(f"{kind} at {server.url} has no model {server.model}{pull}", evidence=words)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.TOO_MANY_REQUESTS:
        return Retry(f"{kind} at {server.url} is busy ({status}): {words}", after=_after(answer))
    return Reject(f"{kind} refuses the request ({status}): {words}", evidence=words)


def _words(error: object) -> str:
    """The sentence in an error, which is a text with one server and an object with another."""
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def _after(answer: httpx.Response) -> float | None:
    """The seconds of Retry-After, which is a number or a date; None where there is none that can be read."""
    text = answer.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
