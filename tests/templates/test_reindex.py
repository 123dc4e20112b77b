"""Another embedder: refused until the store is reindexed, and nothing is lost on the way, however often it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from chromadb.api.async_api import AsyncClientAPI

from services.retriever import decide
from shared.adapters.embedders import FeatureHash, embedder_of
from shared.adapters.reindex import reindex
from shared.adapters.templates import ChromaTemplates
from shared.errors import Reject, Retry
from shared.settings import ChromaSettings
from tests.facts import FLASK, template

MODEL = "nomic-embed-text"


@asynccontextmanager
async def ollama(*, good_for: int = 1000) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Ollama's `/api/embed`, which answers so many times; its URL and what it was asked."""
    asked: list[dict[str, Any]] = []

    async def embed(request: web.Request) -> web.Response:
        body = await request.json()
        asked.append(body)
        if len(asked) > good_for:
            return web.json_response({"error": f'model "{body["model"]}" not found, try pulling it first'}, status=404)
        vectors = [[float(len(text)), 1.0, float("flask" in text)] for text in body["input"]]
        return web.json_response({"model": body["model"], "embeddings": vectors})

    app = web.Application()
    app.router.add_post("/api/embed", embed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


def with_model(settings: ChromaSettings, url: str) -> ChromaSettings:
    """The same Chroma, with a model that makes the vectors."""
    return settings.model_copy(update={"embedder": f"ollama:{MODEL}", "ollama_url": url})


async def ids(settings: ChromaSettings) -> list[str]:
    """What is in the store."""
    async with ChromaTemplates.connect(settings) as store:
        return sorted([one.id async for one in store.every(files=True)])


async def filled(settings: ChromaSettings) -> list[str]:
    """Both collections have something now; the ids."""
    async with ChromaTemplates.connect(settings) as store:
        for number in range(3):
            await store.put(template(id=f"golden_{number}"))
            await store.put(template(id=f"proven_{number}", collection="successful_pipelines"))
    return await ids(settings)


async def test_a_store_goes_over_to_a_model_and_back(chroma_settings: ChromaSettings) -> None:
    """Until then a delivery waits; afterwards everything is found by the new vectors, and the old embedder waits."""
    there = await filled(chroma_settings)
    async with ollama() as (url, asked):
        settings = with_model(chroma_settings, url)
        async with ChromaTemplates.connect(settings) as store:
            with pytest.raises(Retry, match=r"greenrun templates reindex"):
                await store.find(decide.wanted(FLASK))
        done = await reindex(settings)
        assert {(one.templates, one.embedder, one.strangers) for one in done} == {(3, f"ollama:{MODEL}", 0)}
        async with ChromaTemplates.connect(settings) as store:
            assert len(await store.find(decide.wanted(FLASK))) == len(there)
        assert asked[-1]["model"] == MODEL
        assert "language python" in asked[-1]["input"][0]
        with pytest.raises(Retry, match="reindex"):
            await ids(chroma_settings)
    await reindex(chroma_settings)
    assert await ids(chroma_settings) == there


async def test_an_embedder_that_fails_in_the_middle_loses_nothing(chroma_settings: ChromaSettings) -> None:
    """The old store is untouched and goes on; the second try finishes what the first began."""
    there = await filled(chroma_settings)
    async with ollama(good_for=1) as (url, _):
        with pytest.raises(Retry, match="not found, try pulling it first"):
            await reindex(with_model(chroma_settings, url))
    assert await ids(chroma_settings) == there
    async with ollama() as (url, _):
        await reindex(with_model(chroma_settings, url))
        assert await ids(with_model(chroma_settings, url)) == there


async def test_a_call_that_was_killed_between_two_names_is_finished_by_the_next(
    chroma_settings: ChromaSettings, client: AsyncClientAPI
) -> None:
    """The old collection had stepped aside, and a service had made an empty one in its place."""
    there = await filled(chroma_settings)
    old = await client.get_collection("pipeline_templates", embedding_function=None)
    await old.modify(name="pipeline_templates-reindex-old-1")
    assert len(await ids(chroma_settings)) < len(there)
    await reindex(chroma_settings)
    assert await ids(chroma_settings) == there
    names = {one.name for one in await client.list_collections()}
    assert names == {"pipeline_templates", "successful_pipelines"}


async def test_services_that_go_on_meanwhile_lose_nothing(chroma_settings: ChromaSettings) -> None:
    """What is stored while a reindex runs is there afterwards."""
    there = await filled(chroma_settings)
    async with ChromaTemplates.connect(chroma_settings) as store:

        async def put(number: int) -> str:
            one = template(id=f"meanwhile_{number}")
            while True:
                try:
                    await store.put(one)
                except Retry:
                    continue
                return one.id

        stored, _ = await asyncio.gather(
            asyncio.gather(*(put(number) for number in range(20))), reindex(chroma_settings)
        )
    assert await ids(chroma_settings) == sorted([*there, *stored])


async def test_records_that_are_no_templates_are_kept_apart(
    chroma_settings: ChromaSettings, client: AsyncClientAPI
) -> None:
    """Somebody's own collection of that name: its templates come over, the rest stays and is named."""
    theirs = await client.create_collection("pipeline_templates", embedding_function=None)
    known = template(id="known")
    await theirs.add(
        ids=["known", "note"],
        embeddings=np.array([[1.0], [2.0]]),
        documents=[known.model_dump_json(), "stages: [build]"],
    )
    [done] = [one for one in await reindex(chroma_settings) if one.collection == "pipeline_templates"]
    assert (done.templates, done.strangers) == (1, 1)
    assert await ids(chroma_settings) == ["known"]
    kept = await client.get_collection(done.kept, embedding_function=None)
    assert "note" in (await kept.get())["ids"]


def test_an_embedder_that_is_none_is_refused_by_name() -> None:
    """With what may stand there."""
    with pytest.raises(Reject, match="EMBEDDER=word2vec is none; it is feature-hash, or ollama:"):
        embedder_of(ChromaSettings(embedder="word2vec"))
    assert embedder_of(ChromaSettings()).id == FeatureHash.id
