"""Dead letters: what no service could handle, delivered again or let go on a person's word."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway import decide
from services.gateway.documents import Discard, LetterDocument, LetterRow, LettersDocument
from services.gateway.problems import Refused
from services.gateway.state import CALLER, GATEWAY
from services.gateway.submitting import SOURCE
from shared.dead_letters import discard, redrive

if TYPE_CHECKING:
    from shared.dead_letters import DeadLetter


async def list_letters(request: web.Request) -> web.Response:
    """All dead letters, oldest first, with what became of them."""
    letters = await request.app[GATEWAY].bus.dead_letters()
    rows = [LetterRow.model_validate(decide.letter_row(letter)) for letter in letters]
    return web.json_response(text=LettersDocument(letters=rows).model_dump_json())


async def show_letter(request: web.Request) -> web.Response:
    """One dead letter with its body."""
    return _answer(await _letter(request))


async def redrive_letter(request: web.Request) -> web.Response:
    """The letter, whose event is delivered again under its run's next attempt; 409 where that cannot be."""
    letter = await _letter(request)
    bus, name = request.app[GATEWAY].bus, request[CALLER].name
    await redrive(bus, letter, source=SOURCE, by=name, now=datetime.now(UTC))
    return _answer(await _letter(request))


async def discard_letter(request: web.Request) -> web.Response:
    """The letter, let go for this reason; 409 where somebody settled it before."""
    wanted = decide.body_of(Discard, await request.read())
    letter = await _letter(request)
    await discard(request.app[GATEWAY].bus, letter, by=request[CALLER].name, reason=wanted.reason)
    return _answer(await _letter(request))


async def _letter(request: web.Request) -> DeadLetter:
    wanted = request.match_info["letter"]
    letters = await request.app[GATEWAY].bus.dead_letters()
    found = next((letter for letter in letters if letter.id == wanted), None)
    if found is None:
        raise Refused(404, f"there is no dead letter {wanted[:100]!r}; GET /api/v1/dead-letters lists them")
    return found


def _answer(letter: DeadLetter) -> web.Response:
    body = letter.body.decode(errors="replace")
    return web.json_response(text=LetterDocument(**decide.letter_row(letter), body=body).model_dump_json())
