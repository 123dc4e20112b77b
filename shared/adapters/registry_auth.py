"""How a registry wants to be spoken to: plain or encrypted, and what it asks for when it answers 401.

Sources: `WWW-Authenticate` in RFC 9110, and the distribution project's token specification.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

UNAUTHORIZED = 401

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def is_loopback(host_port: str) -> bool:
    """Whether the registry is on this machine, which is spoken to in plain http."""
    host = urlsplit(f"//{host_port}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Challenge:
    """`basic`, or `bearer` with the place where tokens are issued."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""

    def query(self, repository: str) -> dict[str, str]:
        """The query for a token that may read the repository."""
        service = {"service": self.service} if self.service else {}
        return {**service, "scope": self.scope or f"repository:{repository}:pull"}


def challenge_of(response: httpx.Response) -> Challenge | None:
    """The challenge of a 401 that can be answered; None for every other response."""
    header = response.headers.get("WWW-Authenticate", "")
    scheme = header.partition(" ")[0].lower()
    if response.status_code != UNAUTHORIZED or scheme not in ("basic", "bearer"):
        return None
    parameters = dict(_PARAMETER.findall(header))
    if scheme == "bearer" and not parameters.get("realm", "").startswith(("http://", "https://")):
        return None
    return Challenge(scheme, parameters.get("realm", ""), parameters.get("service", ""), parameters.get("scope", ""))
