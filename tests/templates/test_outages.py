"""Chroma slow, restarted, wiped, and written to by two: no run is lost, and every template is there once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from greenrun import embedded
from services.retriever import decide
from services.retriever.service import Bootstrap, Deps, retrieve
from shared.adapters.templates import ChromaTemplates
from shared.errors import Retry
from shared.events import Template, TemplateResolved
from shared.ports import Wanted
from shared.settings import ChromaSettings
from tests.facts import ANALYZED, FLASK, template


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """The port of a server that takes connections and never answers."""
    open_ended = asyncio.Event()

    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await open_ended.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        open_ended.set()
        server.close()
        await server.wait_closed()


async def test_a_server_that_is_slow_is_a_retry() -> None:
    """A call has a time limit: the delivery comes again instead of waiting for ever."""
    async with silent() as port:
        settings = ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=port, chromadb_timeout=0.2)
        async with ChromaTemplates.connect(settings) as store:
            with pytest.raises(Retry, match="does not answer: TimeoutError"):
                await store.find(decide.wanted(FLASK))


async def test_a_server_that_was_wiped_gets_its_recipes_again(tmp_path: Path) -> None:
    """The retriever lives on; the next repository of the kind is a direct hit or a reference again."""
    port = embedded.free_port()
    settings = ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=port)
    async with ChromaTemplates.connect(settings) as store:
        deps = Deps(store, 5, Bootstrap())
        for folder in ("first", "second"):
            async with embedded.chroma(tmp_path / folder, port=port):
                resolved = await _at_last(lambda: retrieve(ANALYZED, deps))
            assert resolved.template is not None
            assert resolved.template.pipeline
            assert resolved.template.id.startswith("recipe_python_flask_pip")


async def test_two_writers_store_each_template_once(chroma_settings: ChromaSettings) -> None:
    """The same ones at the same time, and each some of its own: all are there, each once, and one was told so."""
    same = [template(id=f"same_{number}") for number in range(20)]
    async with (
        ChromaTemplates.connect(chroma_settings) as one,
        ChromaTemplates.connect(chroma_settings) as other,
    ):
        own = [template(id="one"), template(id="other")]
        await asyncio.gather(*(store.put(each) for store in (one, other) for each in (*same, *own)))
        there = [each.id async for each in one.every(files=True)]
    assert sorted(there) == sorted(each.id for each in (*same, *own))


async def test_a_template_that_goes_between_two_looks_is_not_chosen(chroma_settings: ChromaSettings) -> None:
    """What was found and is gone when its files are asked for gives way to the next."""
    async with ChromaTemplates.connect(chroma_settings) as store:
        await store.put(template(id="manual_first"))
        await store.put(template(id="second"))

        class Leaving(ChromaTemplates):
            """Loses the best one as soon as it was found."""

            async def find(self, wanted: Wanted) -> list[Template]:
                found = await super().find(wanted)
                await self.remove("manual_first")
                return found

        resolved = await retrieve(ANALYZED, Deps(Leaving(store._chroma, store._embedder), 5))
    assert resolved.template == template(id="second")


async def _at_last(asked: Callable[[], Awaitable[TemplateResolved]]) -> TemplateResolved:
    """The answer, after as many redeliveries as it takes."""
    while True:
        try:
            return await asked()
        except Retry:
            await asyncio.sleep(0.05)
