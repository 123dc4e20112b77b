"""How a registry wants to be spoken to: plain or encrypted, and what it asks for when it answers 401.

Sources: `WWW-Authenticate` in RFC 9110, and the distribution project's token specification.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.ci.references import DOCKER_HUB, parse
from shared.errors import Reject

if TYPE_CHECKING:
    import httpx

    from shared.settings import RegistrySettings

# Host (with port) → user and password.
Credentials = Mapping[str, tuple[str, str]]
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


def credentials_of(settings: RegistrySettings) -> Credentials:
    """The users of all registries: the sources' from SEED_AUTH_FILE, the private one's from its own settings.

    Reject where the file cannot be read.
    """
    found = _from_file(settings.seed_auth_file) if settings.seed_auth_file else {}
    if settings.registry_user:
        password = settings.registry_password.get_secret_value() if settings.registry_password else ""
        found[parse(f"{settings.nexus_registry}/x").domain] = (settings.registry_user, password)
    return found


@contextmanager
def auth_file(credentials: Credentials) -> Iterator[str]:
    """A login file that only this user can read: a command line can be read by everyone on the machine."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        pairs = {host: f"{user}:{password}" for host, (user, password) in credentials.items()}
        auths = {host: {"auth": base64.b64encode(pair.encode()).decode()} for host, pair in pairs.items()}
        json.dump({"auths": auths}, file)
        file.flush()
        yield file.name


def _from_file(path: str) -> dict[str, tuple[str, str]]:
    """The `auths` of a file that `docker login` or `skopeo login` wrote; helpers of other programs are not asked."""
    try:
        auths: dict[str, Any] = json.loads(Path(path).read_text()).get("auths", {})
        return {_host(name): _pair(entry["auth"]) for name, entry in auths.items() if entry.get("auth")}
    except (OSError, ValueError, TypeError, AttributeError, binascii.Error) as error:
        # The error's text might quote what it could not read.
        raise Reject(f"SEED_AUTH_FILE {path} cannot be read as a login file ({type(error).__name__})") from None


def _host(name: str) -> str:
    """Docker Hub's entry is a URL of its index."""
    host = name.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB if host in {f"index.{DOCKER_HUB}", f"registry-1.{DOCKER_HUB}"} else host


def _pair(auth: str) -> tuple[str, str]:
    user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    return user, password


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
