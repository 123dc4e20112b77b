"""`python -m bench.broken`: how many broken pipelines the healer mends with its rules alone.

Each is run, healed by the service's own handler and run again, until it is green or the healer gives up. A wrong repair
is one after which the same job fails in the same way, any that weakens a job, and any of a class that is only reported.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bench.broken.cases import Broken, cases
from bench.broken.world import Outcome, run
from services.healer.classify import root_cause
from services.healer.decide import REPORTED
from services.healer.guard import loosens
from services.healer.service import Deps, heal
from shared.ci.images import images_of, source_name
from shared.events import Image, Job, Pipeline, PipelineFailed, RunFailed
from tests.facts import COMMIT, PROPOSAL, RUN
from tests.fakes.blobs import FakeBlobs
from tests.fakes.registry import FakeRegistry
from tests.healer.failing import REGISTRY, TAGS

AIM = 85


@dataclass(frozen=True)
class Told:
    """What came of one broken pipeline."""

    broken: Broken
    first_class: str
    green: bool
    attempts: int
    wrong: int
    reason: str = ""


async def tags(source: str) -> tuple[str, ...]:
    """What the sources have."""
    return TAGS.get(source.rpartition("/")[2].partition(":")[0], ())


def failed(event: PipelineFailed, outcome: Outcome) -> PipelineFailed:
    """The event of a run that failed so."""
    job = Job(
        id=3, name=outcome.job, stage=outcome.job, status="failed", failure_reason="script_failure", excerpt=outcome.log
    )
    pipeline = Pipeline(
        id=7, status="failed", jobs=(job,) if outcome.job else (), yaml_errors=outcome.yaml_errors or None
    )
    uses = [use.reference for use in images_of(event.proposal.files) if use.reference.startswith(f"{REGISTRY}/")]
    lost = [u for u in dict.fromkeys(uses) if u in outcome.log]
    images = tuple(Image(source=source_name(u, REGISTRY), target=u, state="failed") for u in lost)
    said = "yaml_error" if outcome.yaml_errors else "failed"
    return event.model_copy(update={"pipeline": pipeline, "outcome": said, "images": images})


async def told(broken: Broken, folder: Path) -> Told:
    """Run, heal, run again."""
    deps = Deps(blobs=FakeBlobs(), registry=FakeRegistry(), source_tags=tags, private=REGISTRY)
    proposal = PROPOSAL.model_copy(update={"files": broken.files, "analysis": broken.analysis, "repairs": ()})
    event = PipelineFailed(
        run_id=RUN, proposal=proposal, commit=COMMIT, outcome="failed", pipeline=Pipeline(id=7, status="failed")
    )
    first, attempts, wrong, reason = "", 0, 0, ""
    before: Outcome | None = None
    while True:
        outcome = run(event.proposal.files, broken.world, folder, REGISTRY)
        if before and outcome == before:
            wrong += 1
        if outcome.green:
            break
        event = failed(event, outcome)
        first = first or root_cause(event.pipeline, {}).error_class
        answer = await heal(event, deps)
        if isinstance(answer, RunFailed):
            reason = answer.reason
            break
        attempts += answer.proposal.rerun is None
        wrong += (
            bool(loosens(broken.files, answer.proposal.files)) or root_cause(event.pipeline, {}).error_class in REPORTED
        )
        before = None if answer.proposal.rerun else outcome
        event = event.model_copy(update={"proposal": answer.proposal, "attempt": answer.attempt})
    return Told(broken, first, outcome.green, attempts, wrong, reason)


async def main() -> None:
    """The table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = [await told(broken, Path(folder)) for broken in cases()]
    _table(found)
    healable = [one for one in found if one.broken.heals]
    green = [one for one in healable if one.green]
    stacks = len({one.broken.stack for one in found})
    print(f"{len(found)} broken pipelines of {stacks} stacks in {time.monotonic() - began:.0f} s")
    print(f"class told {sum(_right(one) for one in found)}/{len(found)}")
    share = 100 * len(green) / len(healable)
    print(f"healed {len(green)}/{len(healable)} ({share:.0f} %, aim {AIM} %)")
    print(f"attempts of the healed: median {statistics.median(one.attempts for one in green):g}")
    print(f"wrong repairs {sum(one.wrong for one in found)}")
    print(f"repairs of what is only reported {sum(one.attempts for one in found if not one.broken.heals)}")
    for one in found:
        if one.green != one.broken.heals or one.wrong or not _right(one):
            print(
                f"    {one.broken.name}: {one.broken.error_class} expected, {one.first_class} told; green {one.green},"
            )
            print(f"        attempts {one.attempts}, wrong {one.wrong}; {one.reason[:160]}")


def _table(found: list[Told]) -> None:
    """One line for each class."""
    classes: dict[str, list[Told]] = defaultdict(list)
    for one in found:
        classes[one.broken.error_class].append(one)
    print(f"{'class':24} cases  told  healed  attempts  wrong")
    for name, ones in sorted(classes.items()):
        healed = [one.attempts for one in ones if one.green]
        told, wrong = sum(_right(one) for one in ones), sum(one.wrong for one in ones)
        print(f"{name:24} {len(ones):5} {told:5} {len(healed):7} {statistics.median(healed or [0]):9g} {wrong:6}")


def _right(one: Told) -> bool:
    return one.first_class == one.broken.error_class


if __name__ == "__main__":
    asyncio.run(main())
