"""What failed and why: pure, over the failing region of each failed job (design, section 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from services.healer.reasons import EXIT_CODES, FAILURE_REASONS
from services.healer.table import TABLE, UNKNOWN, Row
from services.healer.tools import tool_of
from shared.ci.region import REGION_LINES, WIDE_LINES, Line, failing_region, lines_of, of_the_job
from shared.ci.stages import STAGES
from shared.events import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shared.events import Job, Pipeline

# What GitLab itself says is certain; a wider look is less so.
CERTAIN = 1.0
WIDER = 0.8
RUNNERS_UP = 3
# Classes that may be said far from the end; of the others a distant line is somebody's warning.
_WIDE = frozenset({"test_failure", "build_failure", "lint_failure", "dependency_resolution"})
# Where GitLab's reason names a class, the text may still say it more precisely.
_REFINED = {
    "image_not_found": frozenset({"image_not_found", "auth", "rate_limit", "tls_network_error"}),
    "runner_system_failure": frozenset({"image_not_found", "auth", "rate_limit", "disk_full", "tls_network_error"}),
}
_EXIT_CODE = re.compile(r"(?:exit(?:ed with)?(?: code| status)?:?|non-zero code:) (?P<code>\d{1,3})\b", re.IGNORECASE)
_CLOSING = re.compile(r"ERROR: Job failed|##\[error\]\s?Process completed|The command .{0,2000} exited with \d")
# A test that passed says nothing, whatever its name is.
_PASSED = re.compile(r"^\s*(?:[✓✔√] |ok \d+ |PASS(?:ED)?[: ]|\[ +(?:OK|RUN) +\]|--- PASS: |test \S+ \.\.\. ok$)")
# What is shown before it runs, or named after: a command may speak of what nobody said.
_SHOWN = re.compile(r"^\$ .*|^STEP \d{1,4}(?:/\d{1,4})?: .*|(?<=building at STEP )\".{0,500}?\"(?=:)")
_EVIDENCE_LIMIT = 300


@dataclass(frozen=True)
class Rival:
    """Another class that the trace speaks of, and how sure that alone would be."""

    error_class: str
    confidence: float


@dataclass(frozen=True)
class Diagnosis:
    """The class of a failure, where it is said, the job that said it, and how sure that is (0 to 1).

    `tool` said it in GitLab's `section` of the job; both empty where that is not told. `exit_code` is that of the
    command; `runners_up` the other classes, the likeliest first.
    """

    error_class: str
    evidence: Evidence
    job: str
    confidence: float
    tool: str = ""
    section: str = ""
    exit_code: int | None = None
    runners_up: tuple[Rival, ...] = ()


class Hit(NamedTuple):
    """A row of the table and the line that it matched."""

    row: Row
    line: Line
    confidence: float


def classify_text(
    trace: bytes | str,
    *,
    failure_reason: str | None = None,
    exit_code: int | None = None,
    job: str = "",
    before: int = 0,
    table: Sequence[Row] = TABLE,
) -> Diagnosis:
    """The diagnosis of one job from GitLab's reason, its exit code and its trace; bounded whatever the trace is.

    Without `exit_code` the one that the trace names counts. `before` is how many lines stood before what is given.
    `table` is another than the built-in one, where the table itself is measured.
    """
    lines = lines_of(trace, before)
    code = exit_code if exit_code is not None else _exit_code(lines)
    hits = _hits(lines, table)
    found = _of_text(hits, lines, code, job)
    said = FAILURE_REASONS.get(failure_reason or "")
    if said is None:
        return found
    if found.error_class in _REFINED.get(said, frozenset({said})):
        return replace(found, confidence=CERTAIN)
    evidence = Evidence(source=_source(job), text=f"failure_reason: {failure_reason}")
    return Diagnosis(said, evidence, job, CERTAIN, "gitlab", "", code, _rivals(hits, said))


def causes(pipeline: Pipeline, traces: Mapping[int, bytes]) -> tuple[Diagnosis, ...]:
    """The diagnosis of every failed job, the root cause first: what failed earlier explains what failed after it.

    `traces` maps job ids to traces; a job that has none there is judged by its excerpt. A job that may fail is not why
    the pipeline failed; one that only missed the files of another is not where it began.
    """
    failed = [job for job in pipeline.jobs if job.status == "failed"]
    failed = [job for job in failed if not job.allow_failure] or failed
    found = [(job, _of_job(job, traces)) for job in failed]
    found.sort(key=lambda one: (_order(one[0], pipeline), _follows(one[0]), -one[1].confidence, one[0].id))
    return tuple(diagnosis for _, diagnosis in found)


def root_cause(pipeline: Pipeline, traces: Mapping[int, bytes]) -> Diagnosis:
    """One diagnosis for the whole pipeline: its YAML errors, else the first of its causes."""
    if pipeline.yaml_errors:
        return _of_yaml(pipeline.yaml_errors)
    nothing = Diagnosis(UNKNOWN, Evidence(source="pipeline", text="; ".join(pipeline.reasons)), "", 0.0)
    return next(iter(causes(pipeline, traces)), nothing)


def _follows(job: Job) -> bool:
    return FAILURE_REASONS.get(job.failure_reason or "") == "artifact_missing"


def _of_job(job: Job, traces: Mapping[int, bytes]) -> Diagnosis:
    return classify_text(traces.get(job.id) or job.excerpt, failure_reason=job.failure_reason, job=job.name)


def _of_yaml(errors: str) -> Diagnosis:
    """GitLab refused the file: that is about its stages or else its syntax, whatever words it uses."""
    lines = lines_of(errors)
    hit = next(_matches(lines, TABLE), None)
    stage = hit is not None and hit.row.error_class == "invalid_stage"
    text = hit.line.text if hit else (lines[0].text if lines else errors)
    evidence = Evidence(source="yaml_errors", text=text[:_EVIDENCE_LIMIT])
    return Diagnosis("invalid_stage" if stage else "yaml_syntax", evidence, "", CERTAIN, "gitlab")


def _order(job: Job, pipeline: Pipeline) -> int:
    """The place of a job's stage: among the nine, else by the lowest job id of that stage."""
    if job.stage in STAGES:
        return STAGES.index(job.stage)
    stages = list(dict.fromkeys(j.stage for j in sorted(pipeline.jobs, key=lambda j: j.id)))
    return len(STAGES) + stages.index(job.stage)


def _matches(lines: Sequence[Line], rows: Sequence[Row], *, anywhere: bool = False) -> Iterator[Hit]:
    """Each row that matches a line within its reach of the end, in the table's order; of its lines the last.

    The line with which a runner closes a job says it only where no other does.
    """
    spoken = [(line, _SHOWN.sub("", line.text)) for line in lines]
    for row in rows:
        near = spoken if anywhere else spoken[-row.reach :]
        said = [line for line, text in reversed(near) if row.pattern.search(text)]
        line = next((line for line in said if not _CLOSING.match(line.text)), said[0] if said else None)
        if line:
            yield Hit(row, line, row.confidence * (WIDER if anywhere else 1.0))


def _hits(lines: list[Line], table: Sequence[Row]) -> list[Hit]:
    """What the failing region says, else the last lines, else, less surely, a wider look.

    The runner's own sections after the job's count only where nothing before them says anything.
    """
    lines = [line for line in lines if not _PASSED.match(line.text)]
    own = of_the_job(lines)
    for region in (failing_region(own), own[-REGION_LINES:], lines[-REGION_LINES:]):
        found = list(_matches(region, table))
        if found:
            return found
    wide = [row for row in table if row.error_class in _WIDE]
    return list(_matches(failing_region(own, WIDE_LINES), wide, anywhere=True))


def _of_text(hits: Sequence[Hit], lines: Sequence[Line], code: int | None, job: str) -> Diagnosis:
    """The class of the first hit, or of the exit code where no line says it as surely."""
    by_code, sure = EXIT_CODES.get(code or 0, (UNKNOWN, 0.0))
    if hits and hits[0].confidence >= sure:
        hit = hits[0]
        error_class, line, confidence = hit.row.error_class, hit.line, hit.confidence
        if error_class == by_code:
            confidence = 1 - (1 - confidence) * (1 - sure)
        text = _shown(line.text, hit.row)
    else:
        error_class, confidence = by_code, sure
        line = _naming(lines, code) or (lines[-1] if lines else Line(1, ""))
        text = line.text[:_EVIDENCE_LIMIT]
    evidence = Evidence(source=_source(job), line=line.number if lines else None, text=text)
    rivals = _rivals(hits, error_class, Rival(by_code, sure))
    tool = tool_of(lines, line.number)
    return Diagnosis(error_class, evidence, job, round(confidence, 3), tool, line.section, code, rivals)


def _rivals(hits: Sequence[Hit], chosen: str, *others: Rival) -> tuple[Rival, ...]:
    best: dict[str, float] = {}
    for error_class, confidence in [
        *((h.row.error_class, h.confidence) for h in hits),
        *((o.error_class, o.confidence) for o in others),
    ]:
        best[error_class] = max(confidence, best.get(error_class, 0.0))
    ranked = sorted(best.items(), key=lambda one: -one[1])
    return tuple(Rival(name, round(sure, 3)) for name, sure in ranked if sure and name != chosen)[:RUNNERS_UP]


def _exit_code(lines: Sequence[Line]) -> int | None:
    found = next(filter(None, (_EXIT_CODE.search(line.text) for line in reversed(lines[-REGION_LINES:]))), None)
    return int(found["code"]) if found else None


def _naming(lines: Sequence[Line], code: int | None) -> Line | None:
    """The last line that names the exit code."""
    for line in reversed(lines[-REGION_LINES:]):
        found = _EXIT_CODE.search(line.text)
        if found and int(found["code"]) == code:
            return line
    return None


def _shown(text: str, row: Row) -> str:
    """The part of a line that its reader needs: its beginning, or what the row matched where that is further on."""
    found = row.pattern.search(text)
    start = found.start() if found and found.end() > _EVIDENCE_LIMIT else 0
    return text[start : start + _EVIDENCE_LIMIT]


def _source(job: str) -> str:
    return f"job {job}" if job else "trace"
