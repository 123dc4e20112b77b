"""What the learner keeps of a pipeline that passed."""

from __future__ import annotations

import hashlib

import pytest

from services.learner.service import Deps, learn
from services.retriever import decide
from shared.ci.lint import check
from shared.ci.parameters import with_registry
from shared.errors import Reject
from shared.events import Evidence, Files, Job, Repair, new_run_id
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


async def test_addresses_images_and_secrets_of_one_project_are_not_learned() -> None:
    """Whoever wrote them there: a template is everybody's."""
    said = (
        'clone: "https://gitlab.example/shop/web.git"\n'
        'image: "$REGISTRY/web:1 ${REGISTRY}/web:1 web-server $REGISTRY/web2"\n'
        "key: glpat-abcdefghij0123456789\n"
        "url: https://user:hunter22@nexus.example/x\n"
    )
    files = FILES.model_copy(update={"pipeline": said, "dockerfile": "LABEL url=https://gitlab.example/shop/web\n"})
    event = PASSED.model_copy(update={"proposal": PASSED.proposal.model_copy(update={"files": files})})
    store = FakeTemplates()
    stored = store.stored[(await learn(event, Deps(store))).template_id]
    assert stored.pipeline == (
        'clone: "${CI_PROJECT_URL}.git"\n'
        'image: "$REGISTRY/${CI_PROJECT_NAME}:1 ${REGISTRY}/${CI_PROJECT_NAME}:1 web-server $REGISTRY/web2"\n'
        "key: ${REMOVED_SECRET}\n"
        "url: https://${REMOVED_SECRET}@nexus.example/x\n"
    )
    assert stored.dockerfile == "LABEL url=https://project.invalid\n"


async def test_the_healed_form_of_a_template_says_so_and_goes_on_saying_so() -> None:
    """Also when the same files pass once more on their own."""
    evidence = Evidence(source="job build", text="x")
    repair = Repair(
        attempt=2, error_class="c", job="build", evidence=evidence, strategy="s", summary="s", author="a", diff="+x"
    )
    changes = {"decision": "chromadb-direct", "template_id": "old", "repairs": (repair,)}
    healed = PASSED.model_copy(update={"proposal": PASSED.proposal.model_copy(update=changes)})
    store = FakeTemplates()
    stored = await learn(healed, Deps(store))
    assert store.stored[stored.template_id].supersedes == "old"
    await learn(PASSED.model_copy(update={"run_id": new_run_id()}), Deps(store))
    assert store.stored[stored.template_id].supersedes == "old"


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
