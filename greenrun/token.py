"""`greenrun token`: who may use the API, and what each may do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from greenrun.exits import USAGE, WrongCall, fail, finish
from greenrun.place import running_log
from shared.settings import plain
from shared.tokens import Token, issue
from shared.topology import TOKENS_BUCKET

if TYPE_CHECKING:
    from shared.bus import Bus

app = typer.Typer(no_args_is_help=True, help="Tokens of the API: create, list, revoke.")
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]


class Role(StrEnum):
    """Each may do all that those before it may."""

    VIEWER = "viewer"
    SUBMITTER = "submitter"
    OPERATOR = "operator"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="whose it is; events are signed with it")],
    *,
    role: Annotated[Role, typer.Option(help="what it may")] = Role.SUBMITTER,
    days: Annotated[int | None, typer.Option(min=1, max=36500, help="days that it counts; default: for good")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    now = datetime.now(UTC)
    try:
        text, token = issue(name, role.value, now, now + timedelta(days=days) if days else None)
    except ValidationError as error:
        raise fail(USAGE, f"name: {plain(error.errors()[0]['msg'])}") from error
    finish(_keep(token))
    if as_json:
        console.print_json(json.dumps({**_row(token), "token": text}))
    else:
        print(text)  # noqa: T201 - the command's output, to be caught by a script


@app.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """List the tokens, those that were revoked too."""
    found = finish(_all())
    if as_json:
        console.print_json(json.dumps([_row(token) for token in found]))
        return
    table = Table(box=None)
    for column in ("id", "name", "role", "created", "expires", "revoked"):
        table.add_column(column, no_wrap=column == "id")
    for token in found:
        days = (f"{moment:%Y-%m-%d}" if moment else "" for moment in (token.created, token.expires, token.revoked))
        table.add_row(*map(Text, (token.id, token.name, token.role, *days)))
    console.print(table if found else "no tokens yet; make one with: greenrun token create NAME")


@app.command()
def revoke(token_id: Annotated[str, typer.Argument(metavar="ID", help="the token's id, as list prints it")]) -> None:
    """Let a token count no more; each gateway knows within two seconds."""
    token = finish(_revoke(token_id))
    console.print(f"{token.id} ({token.name}) is revoked", markup=False)


async def _keep(token: Token) -> None:
    async with running_log() as bus:
        await bus.keep(TOKENS_BUCKET, token.id, token.model_dump(mode="json"))


async def _all() -> list[Token]:
    async with running_log() as bus:
        return await _tokens(bus)


async def _tokens(bus: Bus) -> list[Token]:
    found = [Token.model_validate(record) for record in await bus.all_kept(TOKENS_BUCKET)]
    return sorted(found, key=lambda token: token.created)


async def _revoke(token_id: str) -> Token:
    async with running_log() as bus:
        token = next((token for token in await _tokens(bus) if token.id == token_id), None)
        if token is None:
            raise WrongCall(f"there is no token {token_id}; list them with: greenrun token list")
        revoked = token.model_copy(update={"revoked": token.revoked or datetime.now(UTC)})
        await bus.keep(TOKENS_BUCKET, token.id, revoked.model_dump(mode="json"))
        return revoked


def _row(token: Token) -> dict[str, str | None]:
    """A token as JSON, without its hash."""
    row: dict[str, str | None] = token.model_dump(mode="json", exclude={"digest"})
    return row
