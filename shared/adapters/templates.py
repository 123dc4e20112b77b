"""The template store: ChromaDB over HTTP. Chroma stores and filters; the retriever ranks.

A template is one record: its id, the whole template as the document, what Chroma filters by as metadata, and a
deterministic feature hash as the vector. No embedding model is ever loaded or downloaded.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import chromadb
import httpx
import numpy as np
from chromadb.config import Settings as ChromaClientSettings
from chromadb.errors import ChromaError
from pydantic import ValidationError

from shared.errors import Reject, Retry
from shared.events import Template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence

    from chromadb.api.async_api import AsyncClientAPI
    from chromadb.api.models.AsyncCollection import AsyncCollection
    from chromadb.api.types import Where

    from shared.ports import Wanted
    from shared.settings import ChromaSettings

COLLECTIONS = ("successful_pipelines", "pipeline_templates")
EMBEDDER = "feature-hash-256-v1"
DIMENSIONS = 256
# So many of one level are ranked, the vector says which; and with so many no further level is asked for.
NEAREST = 64
ENOUGH = 8

T = TypeVar("T")


class ChromaTemplates:
    """Implements `shared.ports.TemplateStore`; connects on the first call that Chroma answers.

    Use `ChromaTemplates.connect`, which closes what was opened.
    """

    def __init__(self, settings: ChromaSettings) -> None:
        """Nothing is asked of Chroma yet."""
        self._host = settings.chromadb_host
        self._port = settings.chromadb_port
        self._timeout = settings.chromadb_timeout
        self._client: AsyncClientAPI | None = None
        self._collections: dict[str, AsyncCollection] = {}
        self._connecting = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: ChromaSettings) -> AsyncIterator[Self]:
        """The store; Chroma is reached on the first call, so that one that is down delays deliveries, not the start."""
        store = cls(settings)
        try:
            yield store
        finally:
            await store.close()

    async def close(self) -> None:
        """Close the connections of the client."""
        client, self._client = self._client, None
        if client is not None:
            # The client has no public way to be closed; its server object closes on leaving its context.
            await client._server.__aexit__(None, None, None)  # type: ignore[attr-defined] # noqa: SLF001

    async def find(self, wanted: Wanted) -> list[Template]:
        """The templates worth ranking: level by level of the frameworks, of each the nearest, until there are enough.

        Records that are no templates are left out. Raises Retry where Chroma does not answer in time, Reject where a
        collection has another embedder.
        """
        found: dict[str, Template] = {}
        for where, alike in _levels(wanted):
            several = await asyncio.gather(*(self._level(name, wanted, where, alike=alike) for name in COLLECTIONS))
            found |= {template.id: template for templates in several for template in templates}
            if len(found) >= ENOUGH:
                break
        return list(found.values())

    async def _level(self, name: str, wanted: Wanted, where: Where, *, alike: bool) -> list[Template]:
        """Of one collection: any where all are equally near, which is quicker and exact, else the nearest by vector."""
        collection = await self._collection(name)
        if alike:
            rows = await self._call(collection.get(where=where, limit=NEAREST, include=["documents"]))
            documents = rows["documents"] or []
        else:
            vector: list[Sequence[float]] = [feature_hash(wanted.likes).tolist()]
            near = await self._call(
                collection.query(query_embeddings=vector, n_results=NEAREST, where=where, include=["documents"])
            )
            documents = (near["documents"] or [[]])[0]
        return [template for template in map(_decode, documents) if template is not None]

    async def all(self) -> list[Template]:
        """Every template of both collections, by id."""
        found: list[Template] = []
        for name in COLLECTIONS:
            collection = await self._collection(name)
            rows = await self._call(collection.get(include=["documents"]))
            found += [template for template in map(_decode, rows["documents"] or []) if template is not None]
        return sorted(found, key=lambda template: template.id)

    async def remove(self, template_id: str) -> bool:
        """Whether there was such a template; it is gone now, from either collection."""
        there = False
        for name in COLLECTIONS:
            collection = await self._collection(name)
            if (await self._call(collection.get(ids=[template_id], include=[])))["ids"]:
                await self._call(collection.delete(ids=[template_id]))
                there = True
        return there

    async def get(self, template_id: str) -> Template | None:
        """One template by id, from either collection; None where there is none."""
        for name in COLLECTIONS:
            collection = await self._collection(name)
            rows = await self._call(collection.get(ids=[template_id], include=["documents"]))
            if rows["documents"]:
                return _decode(rows["documents"][0])
        return None

    async def put(self, template: Template) -> bool:
        """Store by id; True where it was new. An id carries its content's hash, so an existing record is the same."""
        collection = await self._collection(template.collection)
        existing = await self._call(collection.get(ids=[template.id], include=[]))
        if existing["ids"]:
            return False
        await self._add(collection, [template])
        return True

    async def replace(self, collection: str, prefix: str, templates: Sequence[Template]) -> int:
        """How many were new: of the collection's ids with this prefix exactly those of the templates are left.

        The new ones come before the old ones go: whoever looks meanwhile finds either.
        """
        place = await self._collection(collection)
        there = {one for one in (await self._call(place.get(include=[])))["ids"] if one.startswith(prefix)}
        new = {template.id: template for template in templates if template.id not in there}
        if new:
            await self._add(place, list(new.values()))
        if stale := sorted(there - {template.id for template in templates}):
            await self._call(place.delete(ids=stale))
        return len(new)

    async def _add(self, collection: AsyncCollection, templates: Sequence[Template]) -> None:
        vectors: list[Sequence[float]] = [
            feature_hash(dict.fromkeys(descriptor(one), 1.0)).tolist() for one in templates
        ]
        await self._call(
            collection.add(
                ids=[template.id for template in templates],
                embeddings=vectors,
                documents=[template.model_dump_json() for template in templates],
                metadatas=[_metadata(template) for template in templates],
            )
        )

    async def _collection(self, name: str) -> AsyncCollection:
        """The collection, made where it is missing; refused where its vectors come from another embedder."""
        if name in self._collections:
            return self._collections[name]
        client = await self._connected()
        collection = await self._call(
            client.get_or_create_collection(
                name, metadata={"embedder": EMBEDDER, "hnsw:space": "cosine"}, embedding_function=None
            )
        )
        embedder = (collection.metadata or {}).get("embedder")
        if embedder != EMBEDDER:
            raise Reject(f"the Chroma collection {name} was made with the embedder {embedder}, not {EMBEDDER}")
        self._collections[name] = collection
        return collection

    async def _connected(self) -> AsyncClientAPI:
        async with self._connecting:
            if self._client is None:
                settings = ChromaClientSettings(anonymized_telemetry=False)
                connecting = chromadb.AsyncHttpClient(host=self._host, port=self._port, settings=settings)
                self._client = await self._call(connecting)
            return self._client

    async def _call(self, call: Awaitable[T]) -> T:
        """Chroma's client has no time limit of its own; its errors become Retry."""
        try:
            return await asyncio.wait_for(call, self._timeout)
        except (httpx.HTTPError, ChromaError, ValueError, TimeoutError) as error:
            # A server that was wiped knows none of the collections that it gave out before.
            self._collections.clear()
            words = str(error) or type(error).__name__
            raise Retry(f"ChromaDB at {self._host}:{self._port} does not answer: {words}") from error


def descriptor(template: Template) -> list[str]:
    """The features of a template as `name=value` tokens."""
    named = ("language", "framework", "package_manager", "build_tool", "version")
    tokens = [f"{name}={getattr(template, name)}" for name in named if getattr(template, name)]
    return tokens + [f"dependency={name}" for name in template.dependencies]


def feature_hash(weights: Mapping[str, float]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A unit vector of `DIMENSIONS` float32: each token adds its weight, or takes it, at a place its sha256 decides.

    With nothing to add the vector is that of the empty token, because Chroma compares by angle.
    """
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for token, weight in (weights or {"": 1.0}).items():
        digest = hashlib.sha256(token.encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % DIMENSIONS] += weight if digest[4] % 2 else -weight
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def _metadata(template: Template) -> dict[str, str | int | float | bool]:
    """What Chroma may filter by; it refuses None, so an absent field is left out, and no framework is an empty name."""
    fields = template.model_dump(
        include={"language", "framework", "version", "package_manager", "build_tool", "stages_count"}
    )
    return {name: value for name, value in fields.items() if value is not None} | {
        "framework": template.framework or ""
    }


def _any_of(name: str, values: Sequence[str]) -> Where:
    wanted: list[str | int | float | bool] = [*values]
    any_of: Literal["$in", "$nin"] = "$in"
    return {name: {any_of: wanted}}


def _levels(wanted: Wanted) -> Iterator[tuple[Where, bool]]:
    """What to ask for, one after the other, and whether all that answers is equally near.

    The same framework with the same package manager, near ones with the same package manager, all that are near, any.
    """
    language = _any_of("language", wanted.languages)
    if wanted.frameworks:
        if wanted.package_manager:
            manager: Where = {"package_manager": wanted.package_manager}
            yield {"$and": [language, _any_of("framework", wanted.frameworks[0]), manager]}, True
            near = [name for names in wanted.frameworks[:2] for name in names]
            yield {"$and": [language, _any_of("framework", near), manager]}, False
        yield {"$and": [language, _any_of("framework", [name for names in wanted.frameworks for name in names])]}, False
    yield language, False


def _decode(document: str) -> Template | None:
    try:
        return Template.model_validate_json(document)
    except ValidationError:
        return None
