"""The recipes as templates: each passes the checks, and a first repository finds one of its kind."""

from __future__ import annotations

from services.retriever.service import Bootstrap, Deps, retrieve
from shared.ci.lint import check
from shared.ci.parameters import NO_REGISTRY
from shared.events import Files
from shared.recipes.entries import entries
from tests.facts import ANALYZED
from tests.fakes.templates import FakeTemplates


def test_every_entry_passes_the_checks() -> None:
    """And has an id of its own, which tells its content."""
    found = list(entries())
    assert len({template.id for template in found}) == len(found)
    for template in found:
        files = Files(pipeline=template.pipeline or "", dockerfile=template.dockerfile or "")
        assert check(files, registry=NO_REGISTRY) == (), template.id
        assert template.id.endswith(files.digest()[:12])


async def test_the_first_repository_finds_the_recipe_of_its_kind() -> None:
    """As a reference, because it says less than the repository; the store is filled once."""
    store, bootstrap = FakeTemplates(), Bootstrap()
    deps = Deps(store, 3, bootstrap)
    for _ in range(2):
        resolved = await retrieve(ANALYZED, deps)
        assert resolved.decision == "chromadb-reference"
        assert resolved.template is not None
        assert resolved.template.id.startswith("recipe_python_flask_pip_")
    assert len(store.stored) == len(list(entries()))
