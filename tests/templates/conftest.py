"""A real Chroma server for the tests of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chromadb.api.async_api import AsyncClientAPI

from greenrun import embedded
from shared.adapters.chroma import Chroma
from shared.settings import ChromaSettings


@pytest.fixture
async def chroma_settings(tmp_path: Path) -> AsyncIterator[ChromaSettings]:
    """Settings that point at a Chroma server of this test's own."""
    async with embedded.chroma(tmp_path / "chroma") as port:
        yield ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=port)


@pytest.fixture
async def client(chroma_settings: ChromaSettings) -> AsyncIterator[AsyncClientAPI]:
    """Chroma's own client on the same server."""
    chroma = Chroma(chroma_settings)
    yield await chroma.client()
    await chroma.close()
