"""What failed and why: pure, over the failing region of each failed job (design, section 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.healer.table import FAILURE_REASONS, TABLE, UNKNOWN, Row
from shared.ci.region import REGION_LINES, WIDE_LINES, Line, failing_region, lines_of
from shared.ci.stages import STAGES
from shared.events import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.events import Job, Pipeline

# What GitLab itself says is certain; a wider look, and a last line that nothing explains, are less so.
CERTAIN = 1.0
WIDER = 0.8
# Classes that may be said far from the end; of the others a distant line is somebody's warning.
_WIDE = frozenset({"test_failure", "build_failure", "lint_failure", "dependency_resolution"})
_WIDE_ROWS = tuple(row for row in TABLE if row.error_class in _WIDE)
# Where GitLab's reason names a class, the text may still say it more precisely.
_REFINED = {
    "image_not_found": frozenset({"image_not_found", "auth", "rate_limit", "tls_network_error"}),
    "runner_system_failure": frozenset({"image_not_found", "auth", "rate_limit", "disk_full", "tls_network_error"}),
}
_EVIDENCE_LIMIT = 300


@dataclass(frozen=True)
class Diagnosis:
    """The class of a failure, where it is said, the job that said it, and how sure that is (0 to 1)."""

    error_class: str
    evidence: Evidence
    job: str
    confidence: float


def classify_text(trace: bytes | str, *, failure_reason: str | None = None, job: str = "") -> Diagnosis:
    """The diagnosis of one job from GitLab's reason and its trace; bounded whatever the trace is."""
    lines = lines_of(trace)
    said = FAILURE_REASONS.get(failure_reason or "")
    found = _found(lines, job)
    if said is None:
        return found or _unexplained(lines, job)
    if found and found.error_class in _REFINED.get(said, frozenset({said})):
        return Diagnosis(found.error_class, found.evidence, job, CERTAIN)
    return Diagnosis(said, _evidence(job, None, f"failure_reason: {failure_reason}"), job, CERTAIN)


def root_cause(pipeline: Pipeline, traces: Mapping[int, bytes]) -> Diagnosis:
    """One diagnosis for the whole pipeline: its YAML errors, else the failed job of the earliest stage.

    `traces` maps job ids to traces; a job that has none there is judged by its excerpt.
    """
    if pipeline.yaml_errors:
        return _of_yaml(pipeline.yaml_errors)
    failed = sorted((job for job in pipeline.jobs if job.status == "failed"), key=lambda j: (_order(j, pipeline), j.id))
    if not failed:
        return Diagnosis(UNKNOWN, Evidence(source="pipeline", text="; ".join(pipeline.reasons)), "", 0.0)
    found = [_of_job(job, traces) for job in failed if _order(job, pipeline) == _order(failed[0], pipeline)]
    return max(found, key=lambda diagnosis: diagnosis.confidence)


def _of_job(job: Job, traces: Mapping[int, bytes]) -> Diagnosis:
    return classify_text(traces.get(job.id) or job.excerpt, failure_reason=job.failure_reason, job=job.name)


def _of_yaml(errors: str) -> Diagnosis:
    """GitLab refused the file: that is about its stages or else its syntax, whatever words it uses."""
    lines = lines_of(errors)
    found = _matched(lines, "")
    stage = found is not None and found.error_class == "invalid_stage"
    text = found.evidence.text if found else (lines[0].text if lines else errors[:_EVIDENCE_LIMIT])
    evidence = Evidence(source="yaml_errors", text=text)
    return Diagnosis("invalid_stage" if stage else "yaml_syntax", evidence, "", CERTAIN)


def _order(job: Job, pipeline: Pipeline) -> int:
    """The place of a job's stage: among the nine, else by the lowest job id of that stage."""
    if job.stage in STAGES:
        return STAGES.index(job.stage)
    stages = list(dict.fromkeys(j.stage for j in sorted(pipeline.jobs, key=lambda j: j.id)))
    return len(STAGES) + stages.index(job.stage)


def _matched(lines: list[Line], job: str, rows: Sequence[Row] = TABLE) -> Diagnosis | None:
    """The first row that matches a line within its reach of the end; of its lines the last."""
    for row in rows:
        for line in reversed(lines if rows is _WIDE_ROWS else lines[-row.reach :]):
            if row.pattern.search(line.text):
                return Diagnosis(row.error_class, _evidence(job, line.number, line.text), job, row.confidence)
    return None


def _found(lines: list[Line], job: str) -> Diagnosis | None:
    """What the failing region says, else the last lines, else, less surely, a wider look."""
    near = _matched(failing_region(lines), job) or _matched(lines[-REGION_LINES:], job)
    if near:
        return near
    wide = _matched(failing_region(lines, WIDE_LINES), job, _WIDE_ROWS)
    return replace(wide, confidence=wide.confidence * WIDER) if wide else None


def _unexplained(lines: list[Line], job: str) -> Diagnosis:
    last = lines[-1] if lines else Line(1, "")
    return Diagnosis(UNKNOWN, _evidence(job, last.number if lines else None, last.text), job, 0.0)


def _evidence(job: str, line: int | None, text: str) -> Evidence:
    return Evidence(source=f"job {job}" if job else "trace", line=line, text=text[:_EVIDENCE_LIMIT])
