"""What the learner keeps of a pipeline that passed."""

from __future__ import annotations

import hashlib

import pytest

from services.learner.service import Deps, learn
from services.retriever import decide
from shared.ci.lint import check
from shared.ci.parameters import with_registry
from shared.errors import Reject
from shared.events import Files, Job, new_run_id
from shared.recipes import render
from tests.facts import ANALYZED, FILES, FLASK, PASSED
from tests.fakes.templates import FakeTemplates


async def test_proven_files_are_stored_under_the_hash_of_their_content() -> None:
    """The id is `manual_{language}_{framework}_{sha256(yaml + dockerfile)[:12]}`."""
    store = FakeTemplates()
    stored = await learn(PASSED, Deps(store))
    digest = hashlib.sha256((FILES.pipeline + FILES.dockerfile).encode()).hexdigest()
    assert stored.template_id == f"manual_python_flask_{digest[:12]}"
    assert stored.collection == "successful_pipelines"
    assert store.stored[stored.template_id].stages_count == 9


async def test_a_redelivery_says_that_the_template_existed() -> None:
    """The same files are one template, however often they pass."""
    deps = Deps(FakeTemplates())
    assert [(await learn(PASSED, deps)).existed, (await learn(PASSED, deps)).existed] == [False, True]


async def test_what_was_learned_is_a_direct_hit_for_the_same_kind() -> None:
    """The learner stores all that the retriever's fit test asks for."""
    store = FakeTemplates()
    await learn(PASSED, Deps(store))
    assert decide.resolve(ANALYZED, list(store.stored.values()), keep=1).decision == "chromadb-direct"


async def test_what_belongs_to_one_place_is_not_learned() -> None:
    """The registry and the project's path become parameters: a template of one project renders for another."""
    files = render(FLASK, registry="nexus.one.example:5000")
    assert files is not None
    named = files.model_copy(update={"pipeline": files.pipeline + "# shop/web and my-shop/web and shop/web2\n"})
    event = PASSED.model_copy(update={"proposal": PASSED.proposal.model_copy(update={"files": named})})
    store = FakeTemplates()
    stored = store.stored[(await learn(event, Deps(store))).template_id]
    assert stored.pipeline is not None
    assert "nexus.one" not in stored.model_dump_json()
    assert stored.pipeline.endswith("# ${CI_PROJECT_PATH} and my-shop/web and shop/web2\n")
    elsewhere = with_registry(Files(pipeline=stored.pipeline, dockerfile=stored.dockerfile or ""), "two.example")
    assert check(elsewhere, registry="two.example") == ()
    again = await learn(event.model_copy(update={"run_id": new_run_id()}), Deps(store))
    assert (again.existed, len(store.stored)) == (True, 1)


async def test_a_template_knows_where_it_comes_from() -> None:
    """Run, project, commit, pipeline, attempts and what wrote it."""
    store = FakeTemplates()
    provenance = store.stored[(await learn(PASSED, Deps(store))).template_id].provenance
    assert provenance is not None
    assert (provenance.run_id, provenance.project_path) == (PASSED.run_id, "shop/web")
    assert (provenance.pipeline_id, provenance.attempts, provenance.origin) == (7, 1, "rules")


async def test_what_is_not_proven_is_not_learned() -> None:
    """An event that says passed with a job that is not: the gate is looked at again."""
    jobs = (*PASSED.pipeline.jobs, Job(id=99, name="sast", stage="sast", status="failed", allow_failure=True))
    event = PASSED.model_copy(update={"pipeline": PASSED.pipeline.model_copy(update={"jobs": jobs})})
    store = FakeTemplates()
    with pytest.raises(Reject, match="gate is shut"):
        await learn(event, Deps(store))
    assert store.stored == {}
