"""One connection to ChromaDB: calls have a time limit, errors become Retry, collections know their embedder."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import chromadb
import httpx
from chromadb.config import Settings as ChromaClientSettings
from chromadb.errors import ChromaError, NotFoundError

from shared.errors import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from chromadb.api.async_api import AsyncClientAPI
    from chromadb.api.models.AsyncCollection import AsyncCollection

    from shared.settings import ChromaSettings

T = TypeVar("T")


class Chroma:
    """Connects on the first call that Chroma answers."""

    def __init__(self, settings: ChromaSettings) -> None:
        """Nothing is asked of Chroma yet."""
        self._settings = settings
        self._client: AsyncClientAPI | None = None
        self._collections: dict[str, AsyncCollection] = {}
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections of the client."""
        client, self._client = self._client, None
        if client is not None:
            # The client has no public way to be closed; its server object closes on leaving its context.
            await client._server.__aexit__(None, None, None)  # type: ignore[attr-defined] # noqa: SLF001

    async def collection(self, name: str, embedder: str) -> AsyncCollection:
        """The collection, made where it is missing.

        Retry where its vectors come from another embedder: a run waits until a person has reindexed it, or has set
        EMBEDDER back.
        """
        if name not in self._collections:
            found = await self.make(name, embedder)
            theirs = (found.metadata or {}).get("embedder")
            if theirs != embedder:
                raise Retry(
                    f"the Chroma collection {name} was made with the embedder {theirs}, this one is {embedder}; "
                    "set EMBEDDER to the first, or change the collection with: greenrun templates reindex"
                )
            self._collections[name] = found
        return self._collections[name]

    async def make(self, name: str, embedder: str) -> AsyncCollection:
        """The collection of that name as it is, new where there was none."""
        client = await self.client()
        wanted = {"embedder": embedder, "hnsw:space": "cosine", "hnsw:search_ef": 256, "hnsw:construction_ef": 256}
        return await self.call(client.get_or_create_collection(name, metadata=wanted, embedding_function=None))

    async def existing(self, name: str) -> AsyncCollection | None:
        """The collection of that name, whatever its embedder; None where there is none."""
        client = await self.client()
        try:
            return await self.call(client.get_collection(name, embedding_function=None))
        except Missing:
            return None

    async def drop(self, name: str) -> None:
        """There is no collection of that name now."""
        client = await self.client()
        if await self.existing(name) is not None:
            await self.call(client.delete_collection(name))

    async def client(self) -> AsyncClientAPI:
        """The connected client."""
        async with self._connecting:
            if self._client is None:
                # A client that never got an answer could not be closed again.
                await self.call(_heartbeat(self._settings))
                settings = ChromaClientSettings(anonymized_telemetry=False)
                host, port = self._settings.chromadb_host, self._settings.chromadb_port
                self._client = await self.call(chromadb.AsyncHttpClient(host=host, port=port, settings=settings))
            return self._client

    async def call(self, call: Awaitable[T]) -> T:
        """The answer; Missing where Chroma knows no such thing, Retry where it gives none in time."""
        try:
            return await asyncio.wait_for(call, self._settings.chromadb_timeout)
        except NotFoundError as error:
            self._forget()
            raise Missing(self._said(error)) from error
        except (httpx.HTTPError, ChromaError, ValueError, TimeoutError) as error:
            self._forget()
            raise Retry(self._said(error)) from error

    def _forget(self) -> None:
        """A server that was wiped, or reindexed, knows none of the collections that it gave out before."""
        self._collections.clear()

    def _said(self, error: Exception) -> str:
        where = f"{self._settings.chromadb_host}:{self._settings.chromadb_port}"
        return f"ChromaDB at {where} does not answer: {str(error) or type(error).__name__}"


async def _heartbeat(settings: ChromaSettings) -> None:
    async with httpx.AsyncClient(timeout=settings.chromadb_timeout) as client:
        answer = await client.get(f"http://{settings.chromadb_host}:{settings.chromadb_port}/api/v2/heartbeat")
        answer.raise_for_status()


class Missing(Retry):
    """Chroma does not know the collection; it may be there again on the next try."""
