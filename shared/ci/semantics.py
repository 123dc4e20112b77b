"""What GitLab's schema does not see: stages, needs, scripts, rules and artifacts that do not fit together."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.ci.expressions import objection
from shared.ci.finding import PIPELINE, Finding, at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.ci.document import Document, Path

EDGE_STAGES = (".pre", ".post")
# GitLab's default limit of `needs` in one job.
NEEDS_LIMIT = 50


class Need(NamedTuple):
    """One entry of `needs` or `dependencies` that names a job of this pipeline."""

    job: str
    path: Path
    artifacts: bool
    optional: bool


def check_semantics(document: Document) -> Iterator[Finding]:
    """Every finding about jobs that do not fit together."""
    for problem in document.resolution.problems:
        line, column = problem.position or document.position_of(problem.path)
        yield Finding(problem.rule, "error", PIPELINE, line, column, problem.message)
    yield from _rules(document, document.root.get("workflow"), ("workflow",))
    for name, job in document.resolved.items():
        yield from _stage(document, name, job)
        yield from _script(document, name, job)
        yield from _rules(document, job, (name,))
        yield from _needs(document, name, job)
    yield from _cycles(document)


def stage_of(job: dict[str, Any]) -> str:
    """The stage of a resolved job; GitLab's default is `test`."""
    return str(job.get("stage", "test"))


def needs_of(document: Document, name: str) -> list[Need]:
    """The jobs of this pipeline that a resolved job names in `needs`."""
    path = document.origin_of(name, "needs")
    entries = document.resolved[name].get("needs")
    found = [_need(entry, (*path, number)) for number, entry in enumerate(_listed(entries))]
    return [need for need in found if need]


def _need(entry: Any, path: Path) -> Need | None:
    if isinstance(entry, str):
        return Need(entry, path, artifacts=False, optional=False)
    if (
        not isinstance(entry, dict)
        or "pipeline" in entry
        or "project" in entry
        or not isinstance(entry.get("job"), str)
    ):
        return None
    return Need(entry["job"], path, artifacts=entry.get("artifacts") is True, optional=entry.get("optional") is True)


def _stage(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    stage = stage_of(job)
    if stage in document.stages or stage in EDGE_STAGES:
        return
    near = _nearest(stage, document.stages)
    message = f"job {name!r}: stage {stage!r} is not among the declared stages"
    yield at(document, document.origin_of(name, "stage"), "undefined-stage", message, fix=near and f"stage: {near}")


def _script(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    if "trigger" in job or "run" in job or name in document.resolution.unknown:
        return
    if "include" in document.root and "extends" in document.root.get(name, {}):
        return
    script = job.get("script")
    empty = not any(str(line or "").strip() for line in (script if isinstance(script, list) else [script]))
    if empty:
        path = document.origin_of(name, "script") if "script" in job else (name,)
        yield at(document, path, "missing-script", f"job {name!r} has no script")


def _rules(document: Document, job: Any, path: Path) -> Iterator[Finding]:
    if not isinstance(job, dict):
        return
    written = document.origin_of(str(path[0]), "rules") if path[0] in document.jobs else (*path, "rules")
    for number, rule in enumerate(_listed(job.get("rules"))):
        expression = rule.get("if") if isinstance(rule, dict) else None
        wrong = objection(expression) if isinstance(expression, str) else ""
        if wrong:
            yield at(document, (*written, number, "if"), "rules-if", f"{path[0]}: rules:if {expression!r}: {wrong}")
    clash = [key for key in ("only", "except") if key in job and "rules" in job]
    for key in clash:
        yield at(document, (*path, key), "rules-with-only", f"job {path[0]!r}: {key!r} cannot stand beside 'rules'")


def _needs(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    needs = needs_of(document, name)
    if len(needs) > NEEDS_LIMIT:
        yield at(document, (name, "needs"), "too-many-needs", f"job {name!r} needs more than {NEEDS_LIMIT} jobs")
    path = document.origin_of(name, "dependencies")
    entries = enumerate(_listed(job.get("dependencies")))
    dependencies = [Need(e, (*path, n), artifacts=True, optional=False) for n, e in entries if isinstance(e, str)]
    for word, named in (("needs", needs), ("dependencies", dependencies)):
        for need in named:
            yield from _named(document, name, word, need)
    if "needs" in job:
        outside = [d for d in dependencies if d.job in document.jobs and d.job not in {need.job for need in needs}]
        for need in outside:
            message = f"job {name!r}: dependencies names {need.job!r}, which is not in its needs"
            yield at(document, need.path, "unknown-need", message)


def _named(document: Document, name: str, word: str, need: Need) -> Iterator[Finding]:
    """Findings about one entry: it names a job of an earlier stage (or the same, for needs) that has artifacts."""
    target = document.resolved.get(need.job)
    if target is None:
        if need.optional or "include" in document.root:
            return
        near = _nearest(need.job, document.jobs)
        message = f"job {name!r}: {word} names {need.job!r}, which is no job of this pipeline"
        yield at(document, need.path, "unknown-need", message, fix=near)
        return
    if _order(document, target) > _order(document, document.resolved[name]):
        message = f"job {name!r}: {word} names {need.job!r}, which runs in a later stage"
        yield at(document, need.path, "later-need", message)
    if need.artifacts and "artifacts" not in target:
        message = f"job {name!r}: {word} takes the artifacts of {need.job!r}, which makes none"
        yield at(document, need.path, "no-artifacts", message, severity="warning")


def _order(document: Document, job: dict[str, Any]) -> int:
    """Where the job's stage stands; an unknown stage is reported on its own and counts as first."""
    stage = stage_of(job)
    if stage in EDGE_STAGES:
        return -1 if stage == ".pre" else len(document.stages)
    return document.stages.index(stage) if stage in document.stages else -1


def _cycles(document: Document) -> Iterator[Finding]:
    """One finding for each job that waits for itself, found by taking away jobs that can start."""
    waiting = {
        n: {need.job: need for need in needs_of(document, n) if need.job in document.jobs} for n in document.jobs
    }
    while ready := {name for name, needs in waiting.items() if not needs.keys() & waiting.keys()}:
        waiting = {name: needs for name, needs in waiting.items() if name not in ready}
    for name, needs in waiting.items():
        need = next(iter(needs[job] for job in needs if job in waiting))
        yield at(document, need.path, "need-cycle", f"job {name!r} waits for {need.job!r}, which waits for {name!r}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.5)), None)
