"""What GitLab's schema does not see: stages, scripts, rules and durations that GitLab would not understand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shared.ci.document import INPUT
from shared.ci.expressions import objection
from shared.ci.finding import PIPELINE, Finding, at
from shared.ci.needs import EDGE_STAGES, check_needs, listed, nearest, stage_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ci.document import Document, Path

NAME_LIMIT = 255
CACHE_KEYS = ("key", "paths", "untracked", "unprotect", "when", "policy", "fallback_keys")
# What GitLab reads as a duration (its chronic_duration): numbers with these units, in any of their spellings.
_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?|mos?|mths?|months?|y|yrs?|years?)"
_NUMBER = r"(?:\d+(?:\.\d+)?|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|sixty)"
_DURATION = re.compile(
    rf"\s*(?:{_NUMBER}\s*{_UNIT}?(?![a-z])\s*(?:,|and\b)?\s*)+|\s*\d+(?::\d+){{1,3}}\s*|never|now", re.IGNORECASE
)
_DURATIONS = (("timeout",), ("start_in",), ("artifacts", "expire_in"), ("environment", "auto_stop_in"))


def check_semantics(document: Document) -> Iterator[Finding]:
    """Every finding about jobs that do not fit together."""
    for problem in document.resolution.problems:
        line, column = problem.position or document.position_of(problem.path)
        file = document.file_of(problem.path, PIPELINE)
        yield Finding(problem.rule, problem.severity, file, line, column, problem.message)
    if not document.jobs and not document.outside:
        yield at(document, (), "no-jobs", "there is no job that could run (names with a dot in front are hidden)")
    yield from _rules(document, document.root.get("workflow"), ("workflow",))
    for name, job in document.resolved.items():
        if job.get("start_in") and job.get("when") != "delayed" and job.get("rules") is None:
            message = f"job {name!r}: start_in is for when: delayed alone"
            yield at(document, document.origin_of(name, "start_in"), "start-without-delay", message)
        yield from _stage(document, name, job)
        yield from _script(document, name, job)
        yield from _rules(document, job, (name,))
        yield from _durations(document, name, job)
        yield from _caches(document, name, job)
    yield from check_needs(document)


def _stage(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    stage = stage_of(job)
    if len(name) > NAME_LIMIT:
        yield at(document, (name,), "job-name", f"the name of a job has at most {NAME_LIMIT} characters")
    if "stage" not in job and (document.outside or name in document.resolution.broken):
        return
    if stage in document.stages or stage in EDGE_STAGES or INPUT in stage or not document.knows_stages:
        return
    near = nearest(stage, document.stages)
    message = f"job {name!r}: stage {stage!r} is not among the stages ({', '.join(document.stages)[:80]})"
    yield at(document, document.origin_of(name, "stage"), "undefined-stage", message, fix=near and f"stage: {near}")


def _script(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    """Findings about a job that has nothing to do, or two things."""
    if "trigger" in job and job.get("script") is not None:
        yield at(document, (name, "trigger"), "script-and-trigger", f"job {name!r} has both a script and a trigger")
    unknown = document.outside or name in document.resolution.unknown | document.resolution.broken
    if {"trigger", "run"} & job.keys() or _mirrors(job) or unknown:
        return
    if _empty(job.get("script")):
        path = document.origin_of(name, "script") if "script" in job else (name,)
        yield at(document, path, "missing-script", f"job {name!r} has no script")


def _empty(script: Any) -> bool:
    lines = script if isinstance(script, list) else [script]
    return not any(str(line or "").strip() for line in lines)


def _mirrors(job: dict[str, Any]) -> bool:
    """Whether the job only shows the state of another project's pipeline."""
    needs = job.get("needs")
    return any(isinstance(entry, dict) and "pipeline" in entry for entry in [needs, *listed(needs)])


def _rules(document: Document, job: Any, path: Path) -> Iterator[Finding]:
    if not isinstance(job, dict):
        return
    written = document.origin_of(str(path[0]), "rules") if path[0] in document.jobs else (*path, "rules")
    for number, rule in enumerate(listed(job.get("rules"))):
        if isinstance(rule, dict):
            yield from _rule(document, rule, (*written, number), str(path[0]))
    clash = [key for key in ("only", "except") if job.get(key) is not None and job.get("rules") is not None]
    for key in clash:
        yield at(document, (*path, key), "rules-with-only", f"job {path[0]!r}: {key!r} cannot stand beside 'rules'")


def _rule(document: Document, rule: dict[str, Any], path: Path, where: str) -> Iterator[Finding]:
    expression = rule.get("if")
    wrong = objection(expression) if isinstance(expression, str) and INPUT not in expression else ""
    if wrong:
        yield at(document, (*path, "if"), "rules-if", f"{where}: rules:if {expression!r}: {wrong}")
    if rule.get("when") == "delayed" and not rule.get("start_in"):
        yield at(document, (*path, "when"), "delayed-without-start", f"{where}: when: delayed needs start_in")


def _caches(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    """Findings about keys of a cache that GitLab refuses; its schema lets them pass."""
    cache, written = job.get("cache"), document.origin_of(name, "cache")
    for path, one in [(written, cache), *(((*written, n), item) for n, item in enumerate(listed(cache)))]:
        for key in one if isinstance(one, dict) else ():
            if key not in CACHE_KEYS and INPUT not in key:
                message = f"job {name!r}: cache.{key}: GitLab knows no such key"
                yield at(document, (*path, key), "schema", message, fix=nearest(key, CACHE_KEYS))


def _durations(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    for keys in _DURATIONS:
        section = job.get(keys[0])
        value = section.get(keys[1]) if len(keys) > 1 and isinstance(section, dict) else section
        if isinstance(value, str) and "$" not in value and not _DURATION.fullmatch(value.strip()):
            path = (*document.origin_of(name, keys[0]), *keys[1:])
            message = f"job {name!r}: {'.'.join(keys)}: {value!r} is no duration, as '1 day' or '1h 30m' is"
            yield at(document, path, "duration", message)
