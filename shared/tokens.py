"""Tokens of the API: random, shown once, kept as a hash; what each role may do is a matter of the gateway."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Literal, get_args

from pydantic import Field

from shared.events import Fact

Role = Literal["viewer", "submitter", "operator"]
# Each role may do all that those before it may.
ROLES: tuple[Role, ...] = get_args(Role)
SHAPE = re.compile(r"grn_([0-9a-f]{12})_([0-9a-f]{64})")


class Token(Fact):
    """A token as it is kept: whose it is, what it may, and the hex sha256 of the whole of it.

    256 random bits need no slow hash: there is nothing to guess.
    """

    id: str
    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
    role: Role
    digest: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def opens(self, text: str, now: datetime) -> bool:
        """Whether this text is the token, and the token still counts; compared in constant time."""
        same = hmac.compare_digest(self.digest, digest_of(text))
        return same and self.revoked is None and (self.expires is None or now < self.expires)


def issue(name: str, role: Role, now: datetime, expires: datetime | None = None) -> tuple[str, Token]:
    """The text of a new token, which is nowhere kept, and the token as it is kept."""
    identity = secrets.token_hex(6)
    text = f"grn_{identity}_{secrets.token_hex(32)}"
    return text, Token(id=identity, name=name, role=role, digest=digest_of(text), created=now, expires=expires)


def id_of(text: str) -> str | None:
    """The id in the text of a token; None where it is none."""
    found = SHAPE.fullmatch(text)
    return found[1] if found else None


def digest_of(text: str) -> str:
    """Hex sha256."""
    return hashlib.sha256(text.encode()).hexdigest()


def may(role: Role, needed: Role) -> bool:
    """Whether a role is enough for what needs another."""
    return ROLES.index(role) >= ROLES.index(needed)
