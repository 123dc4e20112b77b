"""What the learner keeps of a pipeline that passed."""

from __future__ import annotations

import hashlib

from services.learner.service import Deps, learn
from services.retriever import decide
from tests.facts import ANALYZED, FILES, PASSED
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
