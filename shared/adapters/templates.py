"""The template store: ChromaDB over HTTP. Chroma stores and filters; the retriever ranks.

A template is one record: its id, the whole template as the document, what it is without its files as metadata, and a
vector of its features. So ranking reads no files, and what fits is found by its key however many templates there are.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pydantic import ValidationError

from shared.adapters.chroma import Chroma
from shared.adapters.embedders import embedder_of
from shared.events import Template
from shared.fit import fit_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence

    from chromadb.api.models.AsyncCollection import AsyncCollection
    from chromadb.api.types import Where

    from shared.ports import Embedder, Wanted
    from shared.settings import ChromaSettings

COLLECTIONS = ("successful_pipelines", "pipeline_templates")
# So many of one collection are ranked: the nearest by vector, and as many of those that fit.
NEAREST = 32
FITTING = 16
# Records of one request; a template is some ten kilobytes.
PAGE = 500
DEPENDENCY_WEIGHT = 0.3

T = TypeVar("T")


class ChromaTemplates:
    """Implements `shared.ports.TemplateStore`. Use `ChromaTemplates.connect`, which closes what was opened."""

    def __init__(self, chroma: Chroma, embedder: Embedder) -> None:
        """Nothing is asked of Chroma yet."""
        self._chroma = chroma
        self._embedder = embedder

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: ChromaSettings) -> AsyncIterator[Self]:
        """The store; Chroma is reached on the first call, so that one that is down delays deliveries, not the start."""
        chroma = Chroma(settings)
        try:
            yield cls(chroma, embedder_of(settings))
        finally:
            await chroma.close()

    async def find(self, wanted: Wanted) -> list[Template]:
        """The templates worth ranking, without their files: the nearest by vector; where none of them fits, what does.

        Records that are no templates are left out. Raises Retry where Chroma does not answer in time, and where a
        collection has another embedder.
        """
        [vector] = await self._embedder.embed([wanted.likes])
        found = await self._rows(*(self._nearest(name, vector) for name in COLLECTIONS))
        near = [template for template in found if template.language in wanted.languages]
        if wanted.fits and not any(_fits(template) == wanted.fits for template in near):
            near += await self._rows(*(self._fitting(name, wanted.fits) for name in COLLECTIONS))
        # What is rare may have no place among the nearest of very many: then it is asked for by its language.
        languages = _any_of("language", wanted.languages)
        return near or await self._rows(*(self._nearest(name, vector, languages) for name in COLLECTIONS))

    async def every(self, *, files: bool) -> AsyncIterator[Template]:
        """Every template of both collections; without `files` their texts are empty, and it is far less to read."""
        for name in COLLECTIONS:
            collection = await self._collection(name)
            async for ids in self._pages(collection):
                kind: Literal["documents", "metadatas"] = "documents" if files else "metadatas"
                rows = await self._chroma.call(collection.get(ids=ids, include=[kind]))
                decoded = map(decode, rows["documents"] or []) if files else map(_described, rows["metadatas"] or [])
                for template in decoded:
                    if template is not None:
                        yield template

    async def get(self, template_id: str, collection: str | None = None) -> Template | None:
        """One template with its files, from that collection (None: either); None where there is none."""
        places = [collection] if collection else COLLECTIONS
        both = await self._together(*(self._document(name, template_id) for name in places))
        return next((template for template in both if template is not None), None)

    async def put(self, template: Template) -> bool:
        """Store by id, over what was there; True where the id was new."""
        collection = await self._collection(template.collection)
        existing = await self._chroma.call(collection.get(ids=[template.id], include=[]))
        await self._store(collection, [template])
        return not existing["ids"]

    async def remove(self, template_id: str) -> bool:
        """Whether there was such a template; it is gone now, from either collection."""
        there = False
        for name in COLLECTIONS:
            collection = await self._collection(name)
            if (await self._chroma.call(collection.get(ids=[template_id], include=[])))["ids"]:
                await self._chroma.call(collection.delete(ids=[template_id]))
                there = True
        return there

    async def replace(self, collection: str, prefix: str, templates: Sequence[Template]) -> int:
        """How many were new: of the collection's ids with this prefix exactly those of the templates are left.

        The new ones come before the old ones go: whoever looks meanwhile finds either.
        """
        place = await self._collection(collection)
        there = {one async for ids in self._pages(place) for one in ids if one.startswith(prefix)}
        new = [template for template in templates if template.id not in there]
        await self._store(place, new)
        if stale := sorted(there - {template.id for template in templates}):
            await self._chroma.call(place.delete(ids=stale))
        return len(new)

    async def _rows(self, *asked: Coroutine[Any, Any, list[Template]]) -> list[Template]:
        """The templates of several questions, each once."""
        several = await self._together(*asked)
        return list({template.id: template for templates in several for template in templates}.values())

    async def _together(self, *asked: Coroutine[Any, Any, T]) -> list[T]:
        """The answers to several questions at once, on one connection; none goes on after the first error is raised."""
        try:
            for name in COLLECTIONS:
                await self._collection(name)
        except BaseException:
            for one in asked:
                one.close()
            raise
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _nearest(self, name: str, vector: Sequence[float], where: Where | None = None) -> list[Template]:
        collection = await self._collection(name)
        near = await self._chroma.call(
            collection.query(query_embeddings=[vector], n_results=NEAREST, where=where, include=["metadatas"])
        )
        return _templates((near["metadatas"] or [[]])[0])

    async def _fitting(self, name: str, fits: str) -> list[Template]:
        collection = await self._collection(name)
        rows = await self._chroma.call(collection.get(where={"fits": fits}, limit=FITTING, include=["metadatas"]))
        return _templates(rows["metadatas"] or [])

    async def _document(self, name: str, template_id: str) -> Template | None:
        collection = await self._collection(name)
        rows = await self._chroma.call(collection.get(ids=[template_id], include=["documents"]))
        return decode(rows["documents"][0]) if rows["documents"] else None

    async def _pages(self, collection: AsyncCollection) -> AsyncIterator[list[str]]:
        """The ids of a collection, so many at a time."""
        ids = (await self._chroma.call(collection.get(include=[])))["ids"]
        for start in range(0, len(ids), PAGE):
            yield ids[start : start + PAGE]

    async def _store(self, collection: AsyncCollection, templates: Sequence[Template]) -> None:
        for start in range(0, len(templates), PAGE):
            await self._chroma.call(collection.upsert(**await records(templates[start : start + PAGE], self._embedder)))

    async def _collection(self, name: str) -> AsyncCollection:
        return await self._chroma.collection(name, self._embedder.id)


async def records(templates: Sequence[Template], embedder: Embedder) -> dict[str, Any]:
    """The templates as the arguments of Chroma's `upsert`."""
    return {
        "ids": [template.id for template in templates],
        "embeddings": await embedder.embed([features(template) for template in templates]),
        "documents": [template.model_dump_json() for template in templates],
        "metadatas": [_metadata(template) for template in templates],
    }


def features(template: Template) -> dict[str, float]:
    """The features of a template as `name=value` → weight; no framework is an empty name, as in what is asked for."""
    named = ("language", "package_manager", "version")
    weights = {f"{name}={getattr(template, name)}": 1.0 for name in named if getattr(template, name)}
    weights[f"framework={template.framework or ''}"] = 1.0
    return weights | {f"dependency={name}": DEPENDENCY_WEIGHT for name in template.dependencies}


def _metadata(template: Template) -> dict[str, str]:
    """What Chroma filters by, and what is ranked. Every key is there: `upsert` merges, and would keep a stale one."""
    texts = {name: None if getattr(template, name) is None else "" for name in ("pipeline", "dockerfile")}
    described = template.model_copy(update={**texts, "provenance": None})
    return {
        "language": template.language,
        "fits": _fits(template),
        "described": described.model_dump_json(exclude_none=True),
    }


def _fits(template: Template) -> str:
    """The key of what it fits; a template with one file fits nothing."""
    return "" if None in (template.pipeline, template.dockerfile) else fit_key(template)


def _any_of(name: str, values: Sequence[str]) -> Where:
    wanted: list[str | int | float | bool] = [*values]
    any_of: Literal["$in", "$nin"] = "$in"
    return {name: {any_of: wanted}}


def _templates(metadatas: Iterable[Mapping[str, object]]) -> list[Template]:
    return [template for template in map(_described, metadatas) if template is not None]


def _described(metadata: Mapping[str, object]) -> Template | None:
    return decode(str((metadata or {}).get("described", "")))


def decode(document: str | None) -> Template | None:
    """The template of a document; None where it is none."""
    try:
        return Template.model_validate_json(document or "")
    except ValidationError:
        return None
