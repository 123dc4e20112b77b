"""The template store on a real Chroma server, and the fake that stands in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from chromadb.api.async_api import AsyncClientAPI

from greenrun import embedded
from shared.adapters.embedders import feature_hash
from shared.adapters.templates import NEAREST, ChromaTemplates
from shared.errors import Retry
from shared.events import Template
from shared.fit import fit_key
from shared.ports import TemplateStore, Wanted
from shared.settings import ChromaSettings
from tests.fakes.templates import FakeTemplates

FLASK = Template(
    id="manual_python_flask_0123456789ab",
    collection="successful_pipelines",
    language="python",
    framework="flask",
    version="3.12",
    package_manager="pip",
    stages_count=9,
    dependencies=("flask", "gunicorn"),
    pipeline="stages: []\n",
    dockerfile="FROM scratch\n",
)
RAILS = Template(id="rails", collection="pipeline_templates", language="ruby", framework="rails", pipeline="x")


def wanted(*languages: str) -> Wanted:
    """What a Flask application asks for, of these languages."""
    return Wanted(
        languages,
        fit_key(FLASK) if "python" in languages else "none",
        {"language=python": 40.0, "framework=flask": 30.0},
    )


def sketch(template: Template) -> Template:
    """As the store finds it: without the text of its files."""
    texts = {name: None if getattr(template, name) is None else "" for name in ("pipeline", "dockerfile")}
    return template.model_copy(update=texts)


@pytest.fixture
async def templates() -> AsyncIterator[AsyncExitStack]:
    """Closes the stores that a test opened."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(params=["chroma", "fake"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TemplateStore]:
    """The real store and the fake: both keep the same contract."""
    if request.param == "fake":
        yield FakeTemplates()
        return
    async with embedded.chroma(tmp_path / "chroma") as port:
        settings = ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=port)
        async with ChromaTemplates.connect(settings) as store:
            yield store


async def test_a_template_comes_back_as_it_was_stored(store: TemplateStore) -> None:
    """What the learner stored is what the retriever finds, field by field."""
    assert await store.put(FLASK) is True
    assert await store.find(wanted("python")) == [sketch(FLASK)]
    assert await store.get(FLASK.id) == FLASK


async def test_the_same_id_is_stored_once(store: TemplateStore) -> None:
    """A redelivered learner finds its own template and says so."""
    assert [await store.put(FLASK), await store.put(FLASK)] == [True, False]
    assert len(await store.find(wanted("python"))) == 1


async def test_what_is_stored_again_is_what_was_said_last(store: TemplateStore) -> None:
    """Nothing of the record before is left, not a version that it has no more."""
    changed = FLASK.model_copy(update={"version": None, "build_tool": "make"})
    assert [await store.put(FLASK), await store.put(changed)] == [True, False]
    assert await store.find(wanted("python")) == [sketch(changed)]
    assert await store.get(FLASK.id) == changed


async def test_both_collections_are_searched_and_filtered_by_language(store: TemplateStore) -> None:
    """Golden and proven templates are found together, those of other languages are not."""
    await store.put(FLASK)
    await store.put(RAILS)
    assert {t.id for t in await store.find(wanted("ruby", "python"))} == {FLASK.id, RAILS.id}
    assert await store.find(wanted("ruby")) == [sketch(RAILS)]
    assert await store.find(wanted("go")) == []
    assert await store.get("nobody") is None


async def test_what_is_removed_is_gone(store: TemplateStore) -> None:
    """And says whether it was there."""
    await store.put(FLASK)
    assert [await store.remove(FLASK.id), await store.remove(FLASK.id)] == [True, False]
    assert await store.find(wanted("python")) == []


async def test_a_newer_library_replaces_its_own_entries_alone(store: TemplateStore) -> None:
    """Idempotent; what is not the library's stays, whatever it is called elsewhere."""
    old, new = (RAILS.model_copy(update={"id": name}) for name in ("recipe_old", "recipe_new"))
    elsewhere = FLASK.model_copy(update={"id": "recipe_of_somebody"})
    await store.put(RAILS)
    await store.put(elsewhere)
    assert await store.replace("pipeline_templates", "recipe_", [old]) == 1
    assert await store.replace("pipeline_templates", "recipe_", [old]) == 0
    assert await store.replace("pipeline_templates", "recipe_", [new]) == 1
    found = {template.id for template in await store.find(wanted("ruby", "python"))}
    assert found == {"rails", "recipe_new", "recipe_of_somebody"}


async def test_of_very_many_what_fits_is_found(chroma_settings: ChromaSettings) -> None:
    """Among hundreds that are nearer by their features the one that fits, and no more than can be ranked."""
    far = FLASK.model_copy(update={"dependencies": tuple(f"package-{number}" for number in range(40))})
    near = FLASK.model_copy(update={"entry_point": "other.py"})
    async with ChromaTemplates.connect(chroma_settings) as store:
        for number in range(200):
            await store.put(near.model_copy(update={"id": f"near_{number}"}))
        await store.put(far)
        found = await store.find(wanted("python"))
    assert sketch(far) in found
    assert len(found) <= NEAREST + 1


async def test_a_rare_language_is_found_among_very_many(chroma_settings: ChromaSettings) -> None:
    """Where nothing near is of the language, it is asked for by name."""
    async with ChromaTemplates.connect(chroma_settings) as store:
        for number in range(NEAREST + 1):
            await store.put(FLASK.model_copy(update={"id": f"flask_{number}"}))
        await store.put(RAILS)
        assert await store.find(Wanted(("ruby",), likes={"language=python": 1.0})) == [sketch(RAILS)]


async def test_a_server_that_is_down_is_a_retry(tmp_path: Path, templates: AsyncExitStack) -> None:
    """A delivery waits for Chroma to come back instead of failing its run, and goes through when it is back."""
    port = embedded.free_port()
    store = await templates.enter_async_context(
        ChromaTemplates.connect(ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=port))
    )
    with pytest.raises(Retry, match=f"ChromaDB at 127.0.0.1:{port} does not answer"):
        await store.find(wanted("python"))
    async with embedded.chroma(tmp_path / "chroma", port=port):
        assert await store.put(FLASK)
    with pytest.raises(Retry):
        await store.find(wanted("python"))
    async with embedded.chroma(tmp_path / "chroma", port=port):
        assert await store.find(wanted("python")) == [sketch(FLASK)]


async def test_a_collection_of_another_embedder_is_refused(
    chroma_settings: ChromaSettings, client: AsyncClientAPI
) -> None:
    """Vectors of different embedders are never mixed; a run waits until a person has decided."""
    await client.create_collection("pipeline_templates", metadata={"embedder": "other"}, embedding_function=None)
    async with ChromaTemplates.connect(chroma_settings) as store:
        with pytest.raises(Retry, match=r"embedder other, .* greenrun templates reindex"):
            await store.find(wanted("python"))


def test_the_feature_hash_is_a_deterministic_unit_vector() -> None:
    """The same descriptor gives the same vector on every machine; another one gives another."""
    both = {"a=1": 1.0, "b=2": 1.0}
    one, again, other = feature_hash(both), feature_hash(both), feature_hash({"a=1": 1.0})
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert float(np.linalg.norm(one)) == pytest.approx(1.0)
