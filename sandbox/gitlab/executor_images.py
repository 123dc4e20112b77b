"""Whether an image can be pulled: the private registry is asked, everything else lies beyond the air gap."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping

OCI, DOCKER_TYPE = "application/vnd.oci.image", "application/vnd.docker.distribution"
MANIFEST_TYPES = (
    f"{OCI}.index.v1+json, {DOCKER_TYPE}.manifest.list.v2+json, {OCI}.manifest.v1+json, {DOCKER_TYPE}.manifest.v2+json"
)
MAX_MANIFEST = 4 << 20
SECONDS = 10.0
NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
DOCKER_HUB = "docker.io"


@dataclass(frozen=True)
class Pulled:
    """What came of a pull: the digest, or the refusal in the words of the container engine."""

    digest: str = ""
    refusal: str = ""
    missing: bool = False


@dataclass(frozen=True)
class Name:
    """An image's name: where it is, and its tag or digest."""

    host: str
    repository: str
    reference: str


def named(image: str) -> Name | None:
    """The parts of an image's name as Docker reads them; None where it is none."""
    rest, at, digest = image.partition("@")
    first, slash, path = rest.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, path = DOCKER_HUB, rest
    repository, colon, tag = path.partition(":")
    if not NAME.fullmatch(repository) or (colon and not TAG.fullmatch(tag)) or (at and not DIGEST.fullmatch(digest)):
        return None
    if first == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Name(first, repository, digest or tag or "latest") if re.fullmatch(r"[\w.-]+(?::\d+)?", first) else None


class Images:
    """Asks one registry, host:port as image names begin."""

    def __init__(self, registry: str | None, session: aiohttp.ClientSession) -> None:
        """The session belongs to the caller."""
        self._registry = registry
        self._session = session

    async def pull(self, image: str) -> Pulled:
        """Whether the image could be pulled now; nothing is downloaded but its manifest."""
        name = named(image)
        if name is None:
            return Pulled(refusal="invalid reference format")
        if self._registry is None or name.host != self._registry:
            return _unreachable(name.host)
        schemes = ("http",) if _loopback(name.host) else ("https", "http")
        for scheme in schemes:
            try:
                return await self._ask(f"{scheme}://{name.host}", name, image)
            except aiohttp.ClientConnectorSSLError:
                continue
            except aiohttp.ClientConnectorError as error:
                return _down(f"{scheme}://{name.host}/v2/", name.host, error)
            except (aiohttp.ClientError, TimeoutError):
                words = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
                return _daemon(f'Get "{scheme}://{name.host}/v2/": {words}')
        return _daemon(f'Get "https://{name.host}/v2/": http: server gave HTTP response to HTTPS client')

    async def _ask(self, base: str, name: Name, image: str) -> Pulled:
        """HEAD, as engines do, then GET: a registry may answer one and not the other."""
        url = f"{base}/v2/{name.repository}/manifests/{name.reference}"
        async with self._session.head(url) as answer:
            status = answer.status
        if status in (200, 405):
            async with self._session.get(url) as answer:
                status, body = answer.status, await answer.content.read(MAX_MANIFEST)
                told = answer.headers.get("Docker-Content-Digest")
            if status == 200:  # noqa: PLR2004 - HTTP
                return _usable(body, told, image)
        return _refused(status, base, name, image)


def _usable(body: bytes, told: str | None, image: str) -> Pulled:
    """A manifest for this machine; an index must have one for linux/amd64."""
    digest = told or "sha256:" + hashlib.sha256(body).hexdigest()
    try:
        manifest = json.loads(body)
        kinds = [_platform(entry) for entry in manifest["manifests"]] if "manifests" in manifest else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return _daemon(f"invalid manifest of {image}")
    if kinds is not None and ("linux", "amd64") not in kinds:
        return _daemon("no matching manifest for linux/amd64 in the manifest list entries", missing=True)
    return Pulled(digest)


def _platform(entry: Mapping[str, Mapping[str, str]]) -> tuple[str | None, str | None]:
    platform = entry.get("platform") or {"os": "linux", "architecture": "amd64"}
    return platform.get("os"), platform.get("architecture")


def _refused(status: int, base: str, name: Name, image: str) -> Pulled:
    if status == 404:  # noqa: PLR2004 - HTTP
        return _daemon(f"manifest for {image} not found: manifest unknown: manifest unknown", missing=True)
    url = f"{base}/v2/{name.repository}/manifests/{name.reference}"
    if status == 401:  # noqa: PLR2004 - HTTP
        return _daemon(f'Head "{url}": no basic auth credentials')
    if status == 403:  # noqa: PLR2004 - HTTP
        return _daemon(f"pull access denied for {name.repository}: denied: requested access to the resource is denied")
    if status == 429:  # noqa: PLR2004 - HTTP
        return _daemon("toomanyrequests: too many requests")
    return _daemon(f"received unexpected HTTP status: {status}")


def _daemon(words: str, *, missing: bool = False) -> Pulled:
    return Pulled(refusal=f"Error response from daemon: {words}", missing=missing)


def _unreachable(host: str) -> Pulled:
    """A registry beyond the air gap: its name is looked up in vain."""
    endpoint = "registry-1.docker.io" if host == DOCKER_HUB else host
    bare = endpoint.partition(":")[0]
    tail = f"lookup {bare}" if re.search(r"[a-z]", bare) else endpoint
    return _daemon(f'Get "https://{endpoint}/v2/": dial tcp: {tail}: i/o timeout')


def _down(url: str, host: str, error: aiohttp.ClientConnectorError) -> Pulled:
    bare = host.partition(":")[0]
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _daemon(f'Get "{url}": dial tcp: lookup {bare}: no such host')
    return _daemon(f'Get "{url}": dial tcp {host}: connect: connection refused')


def _loopback(host: str) -> bool:
    """Docker speaks plain HTTP to these without being told to."""
    bare = host.partition(":")[0]
    try:
        return bare == "localhost" or ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
