"""Give every template a vector of the present embedder: a new collection takes the old one's place when it is whole.

Collections step aside by getting another name, and go only when the new one has that of the old: interrupted at any
point nothing is lost, and the next call goes on with what it finds.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from shared.adapters.chroma import Chroma
from shared.adapters.embedders import embedder_of
from shared.adapters.templates import COLLECTIONS, PAGE, decode, records
from shared.errors import Retry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chromadb.api.models.AsyncCollection import AsyncCollection

    from shared.events import Template
    from shared.ports import Embedder
    from shared.settings import ChromaSettings

SWAPS = 5


class Reindexed(NamedTuple):
    """One collection: how many templates it has, and how many records were none, which `kept` holds now."""

    collection: str
    embedder: str
    templates: int
    strangers: int = 0
    kept: str = ""


async def reindex(settings: ChromaSettings) -> list[Reindexed]:
    """What was done to each collection. Raises Retry where Chroma or the embedder is away; call it again then."""
    chroma, embedder = Chroma(settings), embedder_of(settings)
    try:
        reindexings = [_Reindexing(chroma, name, embedder) for name in COLLECTIONS]
        copies = [await reindexing.copied() for reindexing in reindexings]
        # The store changes over as a whole: nothing was touched as long as a vector is missing.
        return [await one.in_place(copy) for one, copy in zip(reindexings, copies, strict=True)]
    finally:
        await chroma.close()


class _Reindexing:
    """One collection on its way to another embedder."""

    def __init__(self, chroma: Chroma, name: str, embedder: Embedder) -> None:
        self._chroma = chroma
        self._name = name
        self._aside = f"{name}-reindex-"
        self._embedder = embedder

    async def copied(self) -> AsyncCollection:
        """A new collection with all templates."""
        new = await self._chroma.make(await self._free("new-"), self._embedder.id)
        for source in await self._sources(new):
            await self._copy(source, new)
        return new

    async def in_place(self, new: AsyncCollection) -> Reindexed:
        """The new collection has the old one's name, and what was stored meanwhile."""
        await self._take_place(new)
        kept, strangers = [], 0
        for source in await self._sources(new):
            found = await self._copy(source, new)
            if found:
                strangers += found
                kept.append(await self._free("not-templates-", prefix="kept-"))
                await self._chroma.call(source.modify(name=kept[-1]))
            else:
                await self._chroma.drop(source.name)
        templates = await self._chroma.call(new.count())
        return Reindexed(self._name, self._embedder.id, templates, strangers, ", ".join(kept))

    async def _take_place(self, new: AsyncCollection) -> None:
        """The new collection has the name; what has it meanwhile steps aside, with all that was stored in it."""
        for _ in range(SWAPS):
            old = await self._chroma.existing(self._name)
            if old is not None:
                await self._chroma.call(old.modify(name=await self._free("old-")))
            try:
                return await self._chroma.call(new.modify(name=self._name))
            except Retry:
                # A service asked for the collection in between, and so made an empty one.
                continue
        raise Retry(f"services make the collection {self._name} again and again; stop them, then reindex")

    async def _sources(self, new: AsyncCollection) -> list[AsyncCollection]:
        """The collection itself and all that stepped aside for it, now or in a call that was interrupted."""
        client = await self._chroma.client()
        every = await self._chroma.call(client.list_collections())
        named = [one.name for one in every if one.name == self._name or one.name.startswith(self._aside)]
        found = [await self._chroma.existing(name) for name in sorted(named)]
        return [one for one in found if one is not None and one.id != new.id]

    async def _free(self, kind: str, prefix: str = "") -> str:
        """A name that no collection has."""
        for number in count(1):
            name = f"{prefix}{self._aside}{kind}{number}"
            if await self._chroma.existing(name) is None:
                return name
        raise AssertionError

    async def _copy(self, source: AsyncCollection, new: AsyncCollection) -> int:
        """How many records of the collection are no templates; the others are in the new one now."""
        there = set((await self._chroma.call(new.get(include=[])))["ids"])
        strangers = 0
        async for page in self._pages(source, there):
            templates = [template for template in page if template is not None]
            strangers += len(page) - len(templates)
            if templates:
                await self._chroma.call(new.upsert(**await records(templates, self._embedder)))
        return strangers

    async def _pages(self, source: AsyncCollection, there: set[str]) -> AsyncIterator[list[Template | None]]:
        """The templates that are not there yet, so many at a time; None for a record that is none."""
        ids = [one for one in (await self._chroma.call(source.get(include=[])))["ids"] if one not in there]
        for start in range(0, len(ids), PAGE):
            rows = await self._chroma.call(source.get(ids=ids[start : start + PAGE], include=["documents"]))
            yield [decode(document) for document in rows["documents"] or []]
