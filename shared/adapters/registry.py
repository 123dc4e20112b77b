"""An OCI registry over HTTP, read side; the copies are made by `Skopeo`.

Protocol: the OCI distribution specification; the bearer flow is the distribution project's "token authentication".
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import httpx

from shared.adapters.registry_auth import Challenge, challenge_of, is_loopback
from shared.adapters.skopeo import CopyDelayed, CopyFailed, Skopeo
from shared.errors import Reject, Retry
from shared.ports import Manifest

if TYPE_CHECKING:
    from types import TracebackType

    from shared.ci.places import Scheme
    from shared.settings import RegistrySettings

__all__ = ["CopyDelayed", "CopyFailed", "NoAnswer", "RateLimited", "RegistryClient", "Skopeo"]

# Without all four a registry answers 404 or converts to another digest.
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
PAGE_SIZE = 1000
PAGE_LIMIT = 1000
CONNECTIONS = 8


class RateLimited(Retry):
    """The registry is at its limit for this user or address."""


class NoAnswer(Retry):
    """The registry took the question and did not answer it in time."""


class RegistryClient:
    """Implements `shared.ports.Registry`; answers anonymous, basic and bearer challenges."""

    def __init__(
        self,
        registry: str,
        *,
        user: str | None = None,
        password: str = "",
        insecure: bool = False,
        scheme: Scheme = "",
        timeout: float = 10.0,
        advice: str = "REGISTRY_USER and REGISTRY_PASSWORD",
    ) -> None:
        """`registry` is host:port (a path after it is part of the repositories' names); `timeout` in seconds.

        `scheme` comes before every rule; `advice` names the settings that say who the user is.
        """
        self.host = registry.partition("/")[0]
        plain = insecure or is_loopback(self.host)
        self._base = f"{scheme or ('http' if plain else 'https')}://{self.host}"
        self._advice = advice
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._basic = httpx.BasicAuth(user, password) if user else None
        self._timeout = timeout
        self._authorization: dict[str, str] = {}
        limits = httpx.Limits(max_connections=CONNECTIONS)
        # A proxy from the environment never stands between this machine and itself.
        self._client = httpx.AsyncClient(
            timeout=timeout,
            limits=limits,
            follow_redirects=True,
            trust_env=not is_loopback(self.host),
            verify=_trusted() if self._base.startswith("https:") else True,
        )

    @classmethod
    def of(cls, settings: RegistrySettings, *, timeout: float = 10.0) -> Self:
        """The client for the private registry of the settings."""
        password = settings.registry_password.get_secret_value() if settings.registry_password else ""
        return cls(
            settings.nexus_registry,
            user=settings.registry_user,
            password=password,
            insecure=settings.registry_insecure,
            timeout=timeout,
        )

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Digest, and size in bytes over all platforms, of a tag or digest; None where the registry has none.

        Raises Retry where the registry is not available, Reject with its words where it refuses.
        """
        path = f"/v2/{repository}/manifests/{reference}"
        if (await self._ask("HEAD", path, repository)).status_code == httpx.codes.NOT_FOUND:
            return None
        response = await self._ask("GET", path, repository)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        document = self._json(self._good(response))
        digest = response.headers.get("Docker-Content-Digest") or _digest(response.content)
        return Manifest(digest, await self._size(repository, document))

    async def digest(self, repository: str, reference: str) -> str | None:
        """The digest of a tag; None where the registry has none. One HEAD, which counts against no pull limit."""
        path = f"/v2/{repository}/manifests/{reference}"
        response = await self._ask("HEAD", path, repository)
        refused = response.is_error and response.status_code != httpx.codes.NOT_FOUND
        if refused or (response.is_success and "Docker-Content-Digest" not in response.headers):
            # An answer to HEAD has no words in it.
            response = await self._ask("GET", path, repository)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return str(self._good(response).headers.get("Docker-Content-Digest") or _digest(response.content))

    async def tags(self, repository: str) -> tuple[str, ...]:
        """All tags of a repository over all pages, as the registry sorts them; empty where it does not exist."""
        found: list[str] = []
        url = f"/v2/{repository}/tags/list?n={PAGE_SIZE}"
        for _ in range(PAGE_LIMIT):
            response = await self._ask("GET", url, repository)
            if response.status_code == httpx.codes.NOT_FOUND:
                break
            found += self._json(self._good(response)).get("tags") or []
            following = response.links.get("next", {}).get("url")
            if not following:
                break
            url = str(response.url.join(following).raw_path, "ascii")
        return tuple(found)

    async def _size(self, repository: str, document: dict[str, Any]) -> int | None:
        """Sum of the layers, of an index those of its manifests that the registry has; None where none is known."""
        if "layers" in document:
            return sum(int(layer.get("size", 0)) for layer in document["layers"])
        digests = [entry["digest"] for entry in document.get("manifests", ()) if "digest" in entry]
        found = await asyncio.gather(*(self.manifest(repository, digest) for digest in digests))
        sizes = [m.size for m in found if m is not None and m.size is not None]
        return sum(sizes) if sizes else None

    async def _ask(self, method: str, path: str, repository: str) -> httpx.Response:
        """The registry's answer; where it is a challenge, that to the same request with authorization."""
        response = await self._send(method, self._base + path, repository)
        challenge = challenge_of(response)
        if challenge is not None:
            await self._authorize(challenge, repository)
            response = await self._send(method, self._base + path, repository)
        return response

    async def _send(self, method: str, url: str, repository: str) -> httpx.Response:
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        if repository in self._authorization:
            headers["Authorization"] = self._authorization[repository]
        return await self._exchange(httpx.Request(method, url, headers=headers))

    async def _exchange(self, request: httpx.Request, auth: httpx.Auth | None = None) -> httpx.Response:
        """One request within the time limit; the transport's errors translated."""
        try:
            async with self._slots, asyncio.timeout(self._timeout):
                request.extensions["timeout"] = httpx.Timeout(self._timeout).as_dict()
                return await self._client.send(request, auth=auth)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise NoAnswer(f"registry {self.host} does not answer within {self._timeout:g} s") from error
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def _authorize(self, challenge: Challenge, repository: str) -> None:
        """Keep the header that answers the challenge for this repository."""
        if challenge.scheme == "basic":
            if self._basic is None:
                raise Reject(f"registry {self.host} asks for a user; set {self._advice}")
            request = next(self._basic.auth_flow(httpx.Request("GET", self._base)))
            self._authorization[repository] = request.headers["Authorization"]
            return
        if self._basic and self._base.startswith("https:") and not challenge.realm.startswith("https:"):
            raise Reject(f"registry {self.host} wants its password sent to {challenge.realm} without encryption")
        request = httpx.Request("GET", httpx.URL(challenge.realm).copy_merge_params(challenge.query(repository)))
        answer = self._json(self._good(await self._exchange(request, self._basic)))
        self._authorization[repository] = f"Bearer {answer.get('token') or answer.get('access_token')}"

    def _good(self, response: httpx.Response) -> httpx.Response:
        """The response where it is a success; else Retry for what may pass and Reject for a final no."""
        status = response.status_code
        if response.is_success:
            return response
        words = _words(response)
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise RateLimited(f"registry {self.host} answered {status}: {words}", after=_retry_after(response))
        if response.is_server_error:
            raise Retry(f"registry {self.host} answered {status}: {words}", after=_retry_after(response))
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            what = f"check {self._advice} and the user's rights"
            raise Reject(f"registry {self.host} refuses access: {words}; {what}", evidence=words)
        raise Reject(f"registry {self.host} answered {status} to {response.url.path}: {words}", evidence=words)

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Reject(f"{response.url.netloc.decode()} does not answer as an OCI registry; check NEXUS_REGISTRY")
        return document

    def _unreachable(self, error: Exception) -> Retry | Reject:
        words = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in words:
            return Reject(f"registry {self.host} has a certificate that is not trusted here", evidence=words)
        if "WRONG_VERSION_NUMBER" in words or "record layer failure" in words:
            return Reject(f"registry {self.host} speaks http; set REGISTRY_INSECURE=true", evidence=words)
        return Retry(f"registry {self.host} does not answer: {words}")


@cache
def _trusted() -> ssl.SSLContext:
    """What this machine trusts (SSL_CERT_FILE or the system's store), as skopeo does, and no list of our own."""
    return ssl.create_default_context()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _words(response: httpx.Response) -> str:
    """The registry's own message, the start of the body, or the name of the status."""
    try:
        first = response.json()["errors"][0]
        return f"{first.get('code', '')}: {first.get('message', '')}".strip(": ").lower()
    except (ValueError, LookupError, TypeError, AttributeError):
        return response.text.strip()[:200] or response.reason_phrase


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait by `Retry-After` (RFC 9110: seconds or a date); None where there is none."""
    value = response.headers.get("Retry-After", "")
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
