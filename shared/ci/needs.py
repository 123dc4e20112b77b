"""Jobs that wait for other jobs: `needs`, `dependencies`, what stops an environment, and circles."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.ci.document import INPUT
from shared.ci.finding import Finding, at

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
    plain: bool = False


def check_needs(document: Document) -> Iterator[Finding]:
    """Every finding about jobs that name others: unknown ones, later ones, circles."""
    for name, job in document.resolved.items():
        yield from _needs(document, name, job)
        yield from _stopped(document, name, job)
    yield from _cycles(document)


def stage_of(job: dict[str, Any]) -> str:
    """The stage of a resolved job; GitLab's default is `test`."""
    return str(job.get("stage") or "test")


def order_of(document: Document, job: dict[str, Any]) -> int | None:
    """Where the job's stage stands among the stages; None where that is not known."""
    stage = stage_of(job)
    if "stage" not in job and document.outside:
        return None
    if stage in EDGE_STAGES:
        return -1 if stage == ".pre" else len(document.stages)
    return document.stages.index(stage) if document.knows_stages and stage in document.stages else None


def needs_of(document: Document, name: str) -> list[Need]:
    """The jobs of this pipeline that a resolved job names in `needs`, and in the `needs` of its rules."""
    job = document.resolved[name]
    rules = document.origin_of(name, "rules")
    entries = [(document.origin_of(name, "needs"), job.get("needs"))]
    entries += [
        ((*rules, number, "needs"), rule.get("needs"))
        for number, rule in enumerate(listed(job.get("rules")))
        if isinstance(rule, dict)
    ]
    found = [_need(entry, (*path, number)) for path, value in entries for number, entry in enumerate(listed(value))]
    return [need for need in found if need and INPUT not in need.job]


def dependencies_of(document: Document, name: str) -> list[Need]:
    """The jobs that a resolved job names in `dependencies`."""
    path = document.origin_of(name, "dependencies")
    entries = enumerate(listed(document.resolved[name].get("dependencies")))
    named = [(entry, number) for number, entry in entries if isinstance(entry, str) and INPUT not in entry]
    return [Need(entry, (*path, number), artifacts=True, optional=False) for entry, number in named]


def listed(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.5)), None)


def _need(entry: Any, path: Path) -> Need | None:
    if isinstance(entry, str):
        return Need(entry, path, artifacts=False, optional=False, plain=True)
    elsewhere = not isinstance(entry, dict) or "pipeline" in entry or "project" in entry
    if elsewhere or not isinstance(entry.get("job"), str):
        return None
    return Need(entry["job"], path, artifacts=entry.get("artifacts") is True, optional=entry.get("optional") is True)


def _needs(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    needs, dependencies = needs_of(document, name), dependencies_of(document, name)
    if len(listed(job.get("needs"))) > NEEDS_LIMIT:
        yield at(document, (name, "needs"), "too-many-needs", f"job {name!r} needs more than {NEEDS_LIMIT} jobs")
    for word, named in (("needs", needs), ("dependencies", dependencies)):
        for need in named:
            yield from _named(document, name, word, need)
    plain = [need for need in needs if need.path[:-1] == document.origin_of(name, "needs") and need.plain]
    for need in plain:
        if need.job in {other.job for other in plain if other.path < need.path}:
            yield at(document, need.path, "double-need", f"job {name!r}: needs names {need.job!r} twice")
    if job.get("needs") is not None:
        outside = [d for d in dependencies if d.job in document.jobs and d.job not in {need.job for need in needs}]
        for need in outside:
            message = f"job {name!r}: dependencies names {need.job!r}, which is not in its needs"
            yield at(document, need.path, "unknown-need", message)


def _named(document: Document, name: str, word: str, need: Need) -> Iterator[Finding]:
    """Findings about one entry: it names a job of an earlier stage or the same, and one that has artifacts."""
    target = document.resolved.get(need.job)
    if target is None:
        if not (need.optional or document.outside):
            near = nearest(need.job, document.jobs)
            message = f"job {name!r}: {word} names {need.job!r}, which is no job of this pipeline"
            yield at(document, need.path, "unknown-need", message, fix=near)
        return
    theirs, own = order_of(document, target), order_of(document, document.resolved[name])
    if theirs is not None and own is not None and theirs > own:
        message = f"job {name!r}: {word} names {need.job!r}, which runs in a later stage"
        yield at(document, need.path, "later-need", message)
    if need.artifacts and "artifacts" not in target and not document.outside:
        message = f"job {name!r}: {word} takes the artifacts of {need.job!r}, which makes none"
        yield at(document, need.path, "no-artifacts", message, severity="warning")


def _stopped(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    environment = job.get("environment")
    stop = environment.get("on_stop") if isinstance(environment, dict) else None
    if isinstance(stop, str) and stop not in document.jobs and not document.outside and INPUT not in stop:
        path = (*document.origin_of(name, "environment"), "on_stop")
        message = f"job {name!r}: on_stop names {stop!r}, which is no job of this pipeline"
        yield at(document, path, "unknown-on-stop", message, fix=nearest(stop, document.jobs))


def _cycles(document: Document) -> Iterator[Finding]:
    """One finding for each job that waits for itself, found by taking away jobs that can start."""
    waiting = {
        n: {need.job: need for need in needs_of(document, n) if need.job in document.jobs} for n in document.jobs
    }
    followers: dict[str, list[str]] = {}
    for name, needs in waiting.items():
        for job in needs:
            followers.setdefault(job, []).append(name)
    open_needs = {name: len(needs) for name, needs in waiting.items()}
    ready = [name for name, count in open_needs.items() if not count]
    while ready:
        done = ready.pop()
        waiting.pop(done)
        for name in followers.get(done, ()):
            open_needs[name] -= 1
            ready += [name] if not open_needs[name] else []
    for name, needs in waiting.items():
        need = next(iter(needs[job] for job in needs if job in waiting))
        yield at(document, need.path, "need-cycle", f"job {name!r} waits for {need.job!r}, which waits for {name!r}")
