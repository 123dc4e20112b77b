"""How templates fared, from the log: from events one by one, and from a real NATS into the retriever's ranking."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from greenrun import embedded
from services.retriever.service import connect
from services.retriever.settings import Settings
from services.retriever.standing import Standings
from shared.bus import Bus
from shared.events import (
    Event,
    Evidence,
    FilesGenerated,
    PipelineFailed,
    PipelinePassed,
    Proposal,
    Repair,
    RunFailed,
    new_run_id,
)
from tests.facts import COMMIT, PASSED, PROPOSAL

USED = PROPOSAL.model_copy(update={"decision": "chromadb-direct", "origin": "template", "template_id": "golden"})


def repaired(diff: str = "-a\n+b") -> Proposal:
    """The proposal after one attempt of the healer; a rerun has no diff."""
    evidence = Evidence(source="job build", text="x")
    repair = Repair(
        attempt=2,
        error_class="image_not_found",
        job="build",
        evidence=evidence,
        strategy="s",
        summary="s",
        author="a",
        diff=diff,
    )
    return USED.model_copy(update={"repairs": (repair,)})


def failed(run: str, proposal: Proposal = USED) -> PipelineFailed:
    """The pipeline of the run failed."""
    return PipelineFailed(run_id=run, proposal=proposal, commit=COMMIT, outcome="failed", pipeline=PASSED.pipeline)


def passed(proposal: Proposal = USED) -> PipelinePassed:
    """A pipeline that passed."""
    return PASSED.model_copy(update={"proposal": proposal, "run_id": new_run_id()})


def standings(*events: Event) -> dict[str, float]:
    """What these events tell."""
    told = Standings()
    for event in events:
        told.tell(event)
    return dict(told.failing())


def test_a_repair_of_its_files_counts_against_the_template() -> None:
    """Once a run, however often it is told; successes weigh against it."""
    healed = FilesGenerated(run_id=new_run_id(), attempt=2, proposal=repaired())
    assert standings(healed, healed) == {"golden": 0.5}
    assert standings(healed, passed(), passed()) == {"golden": 0.25}


@pytest.mark.parametrize(
    "event",
    [
        passed(),
        passed(repaired()),
        FilesGenerated(run_id=new_run_id(), attempt=2, proposal=repaired(diff="")),
        FilesGenerated(run_id=new_run_id(), attempt=2, proposal=repaired().model_copy(update={"template_id": None})),
        FilesGenerated(run_id=new_run_id(), proposal=repaired().model_copy(update={"decision": "chromadb-reference"})),
    ],
)
def test_what_does_not_count_against_it(event: Event) -> None:
    """A pass, a rerun without a change, and files that were not the template's own."""
    assert standings(event) == {}


@pytest.mark.parametrize(
    ("error_class", "share"),
    [("build_failure", {"golden": 0.5}), ("test_failure", {}), ("runner_system_failure", {}), (None, {})],
)
def test_the_end_of_a_run_counts_where_the_template_is_to_blame(
    error_class: str | None, share: dict[str, float]
) -> None:
    """The project's own tests and the runner are not."""
    run = new_run_id()
    ended = RunFailed(run_id=run, phase="healer", reason="r", error_class=error_class)
    assert standings(failed(run), ended) == share
    assert standings(ended) == {}


async def test_the_retriever_hears_of_failures_from_the_log(tmp_path: Path) -> None:
    """Of those before it started and of those after."""
    async with embedded.nats_server(tmp_path / "nats") as url, asyncio.timeout(30):
        settings = Settings(nats_url=url)
        async with Bus.connect(settings, "test") as bus:
            await bus.provision()
            await bus.publish(FilesGenerated(run_id=new_run_id(), attempt=2, proposal=repaired()), source="healer")
            async with connect(settings, bus) as deps:
                await _until(deps.standings, {"golden": 0.5})
                later = FilesGenerated(run_id=new_run_id(), attempt=2, proposal=repaired())
                await bus.publish(later, source="healer")
                await _until(deps.standings, {"golden": 2 / 3})


async def _until(standings: Standings, told: dict[str, float]) -> None:
    while standings.failing() != told:
        await asyncio.sleep(0.01)
