"""The nine stages and the ten jobs that every pipeline has (design, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ci.finding import Finding, at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ci.document import Document

STAGES = ("compile", "build", "test", "sast", "quality", "security", "push", "notify", "learn")
JOBS = (
    "compile",
    "build",
    "test",
    "sast",
    "quality",
    "security",
    "push",
    "notify_success",
    "notify_failure",
    "learn",
)
STAGE_OF = {job: "notify" if job.startswith("notify_") else job for job in JOBS}


def check_stages(document: Document) -> Iterator[Finding]:
    """Findings where the nine stages are not these in this order, or one of the ten jobs is missing or elsewhere."""
    if document.stages != STAGES:
        fix = f"stages: [{', '.join(STAGES)}]"
        yield at(document, ("stages",), "nine-stages", f"the stages are {_listed(document)}", fix=fix)
    for job, stage in STAGE_OF.items():
        if job not in document.jobs:
            yield at(document, (), "missing-job", f"there is no job {job!r} (stage {stage})")
        elif document.resolved[job].get("stage", "test") != stage:
            found = document.resolved[job].get("stage", "test")
            if found not in document.stages:
                continue
            message = f"job {job!r} is in stage {found!r}, its place is {stage!r}"
            yield at(document, document.origin_of(job, "stage"), "job-stage", message, fix=f"stage: {stage}")


def _listed(document: Document) -> str:
    missing = [stage for stage in STAGES if stage not in document.stages]
    extra = [stage for stage in document.stages if stage not in STAGES]
    if "stages" not in document.root:
        return "not declared; the nine must be"
    said = [f"{', '.join(missing)} missing"] if missing else []
    said += [f"{', '.join(extra)} too many"] if extra else []
    return f"not the nine: {'; '.join(said)}" if said else "not in the order of the nine"
