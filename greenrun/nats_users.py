"""The NATS server's table of users: names, hashed passwords or public keys, and what each may do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bcrypt
import nkeys

from shared.permissions import permissions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shared.permissions import Permissions

FIRST_LINE = "# Made by 'greenrun secrets', which brings it up to date; include it in the server's configuration."
# The cost is for a password that a person put in place; each connection pays it. No stretching makes the 256 random
# bits of our own safer, and twenty services that connect to a busy server at once would wait for each other's hashes.
BCRYPT_ROUNDS, FEWEST_ROUNDS = 10, 4
RANDOM_LENGTH = 43
HASH = re.compile(r'user: "([a-z]+)"\n *password: "([^"]+)"')


@dataclass(frozen=True)
class Login:
    """How the server knows a user: by the hash of a password, by a public key, or by either."""

    password_hash: str | None = None
    public_key: str | None = None


def hashes_in(configuration: str) -> dict[str, str]:
    """The hash of each user in a table that was made here."""
    return dict(HASH.findall(configuration))


def hashed(password: str, known: str | None) -> str:
    """The hash that is known where it is of this password, else a new one: a table made again stays the same."""
    if known and bcrypt.checkpw(password.encode(), known.encode()):
        return known
    rounds = FEWEST_ROUNDS if len(password) >= RANDOM_LENGTH else BCRYPT_ROUNDS
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def public_key(seed: str) -> str:
    """The public half of an nkey; ValueError where the text is no seed."""
    try:
        return str(nkeys.from_seed(bytearray(seed.encode())).public_key.decode())
    except (nkeys.NkeysError, ValueError) as error:
        raise ValueError("is no nkey seed") from error


def rendered(logins: Mapping[str, Login]) -> str:
    """The table with everybody who has a login, in the server's configuration language."""
    entries = (line for row in permissions() for line in _entries(row, logins.get(row.user, Login())))
    return "\n".join([FIRST_LINE, "authorization {", "  users = [", *entries, "  ]", "}", ""])


def _entries(row: Permissions, login: Login) -> Iterator[str]:
    if login.password_hash:
        yield from _entry(row, [f'user: "{row.user}"', f'password: "{login.password_hash}"'])
    if login.public_key:
        yield from _entry(row, [f"# {row.user}", f'nkey: "{login.public_key}"'])


def _entry(row: Permissions, identity: Iterable[str]) -> Iterator[str]:
    yield "    {"
    yield from (f"      {line}" for line in identity)
    yield "      permissions: {"
    for verb, subjects in (("publish", row.publish), ("subscribe", row.subscribe)):
        yield f"        {verb}: {{ allow: ["
        yield from (f"          {json.dumps(subject)}" for subject in subjects)
        yield "        ] }"
    if row.answers:
        yield "        allow_responses: true"
    yield "      }"
    yield "    }"
