"""The registries that images come from and their mirrors: what a place has, and which tags there are."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from shared.adapters.registry import RegistryClient
from shared.adapters.registry_auth import credentials_of
from shared.ci.references import DOCKER_HUB, parse
from shared.errors import Reject, Retry

if TYPE_CHECKING:
    from types import TracebackType

    from shared.ci.places import Place
    from shared.settings import RegistrySettings

DOCKER_HUB_API = f"registry-1.{DOCKER_HUB}"


class SourceClients:
    """Implements `shared.ports.Sources`: a client for each host, which keeps its connections and tokens."""

    def __init__(self, settings: RegistrySettings, *, timeout: float = 10.0) -> None:
        """`timeout` in seconds for one request; Reject where SEED_AUTH_FILE cannot be read."""
        self._settings = settings
        self._timeout = timeout
        self._credentials = credentials_of(settings)
        self._clients: dict[tuple[str, str], RegistryClient] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._stack.aclose()

    async def digest(self, place: Place) -> str | None:
        """The digest of the image at this place now; None where it does not have it."""
        image = parse(place.name)
        return await (await self._client(place)).digest(image.repository, image.wanted)

    async def tags(self, source: str) -> tuple[str, ...]:
        """All tags of a source's repository, at the first place that has any.

        Raises Reject where no place may be asked, and what the last one said where one gave no answer and none has any.
        """
        places = self._settings.places(source)
        if not places:
            raise Reject(f"image {source}: no source is asked behind an air gap (AIR_GAPPED)")
        said: Retry | Reject | None = None
        for place in places:
            try:
                if found := await (await self._client(place)).tags(parse(place.name).repository):
                    return found
            except (Retry, Reject) as error:
                said = error
        if said:
            raise said
        return ()

    async def _client(self, place: Place) -> RegistryClient:
        key = (place.host, place.scheme)
        if key not in self._clients:
            user, password = self._credentials.get(place.host, (None, ""))
            client = RegistryClient(
                DOCKER_HUB_API if place.host == DOCKER_HUB else place.host,
                user=user,
                password=password,
                scheme=place.scheme,
                timeout=self._timeout,
                advice="its user in SEED_AUTH_FILE",
            )
            self._clients[key] = client
            await self._stack.enter_async_context(client)
        return self._clients[key]
