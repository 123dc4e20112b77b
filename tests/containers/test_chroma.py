"""The contract of the template store against Chroma from its image: the tests of `tests/templates`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from shared.adapters.chroma import Chroma
from shared.adapters.templates import ChromaTemplates
from shared.ports import TemplateStore
from shared.settings import ChromaSettings
from tests.engine import CHROMA, answering, require, serving
from tests.templates.test_store import (
    test_a_newer_library_replaces_its_own_entries_alone,
    test_a_template_comes_back_as_it_was_stored,
    test_both_collections_are_searched_and_filtered_by_language,
    test_the_same_id_is_stored_once,
    test_what_is_removed_is_gone,
    test_what_is_stored_again_is_what_was_said_last,
)

__all__ = [
    "test_a_newer_library_replaces_its_own_entries_alone",
    "test_a_template_comes_back_as_it_was_stored",
    "test_both_collections_are_searched_and_filtered_by_language",
    "test_the_same_id_is_stored_once",
    "test_what_is_removed_is_gone",
    "test_what_is_stored_again_is_what_was_said_last",
]
pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def container() -> Iterator[ChromaSettings]:
    """A Chroma server, started once."""
    require()
    with serving(CHROMA, 8000, answering("/api/v2/heartbeat", 200)) as served:
        yield ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=served.port)


@pytest.fixture
async def store(container: ChromaSettings) -> AsyncIterator[TemplateStore]:
    """The store on a server that has nothing."""
    chroma = Chroma(container)
    client = await chroma.client()
    for collection in await client.list_collections():
        await client.delete_collection(collection.name)
    await chroma.close()
    async with ChromaTemplates.connect(container) as store:
        yield store
