"""`rules:`, `workflow:rules` and `only`/`except`: which jobs are in the pipeline, and what a rule changes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.gitlab.ci_expression import evaluate, pattern
from sandbox.gitlab.ci_glob import matches
from sandbox.gitlab.ci_variables import declared, expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a job: whether it is in the pipeline, and what they change."""

    included: bool
    when: str | None = None
    allow_failure: bool | None = None
    variables: dict[str, str] = field(default_factory=dict)
    needs: Any = None
    start_in: Any = None


def flat(rules: Any) -> list[dict[str, Any]]:
    """The rules in one list; `!reference` brings lists within lists."""
    if isinstance(rules, list):
        return [rule for entry in rules for rule in flat(entry)]
    return [rules] if isinstance(rules, dict) else []


def judge(rules: Any, variables: Mapping[str, str], files: Sequence[str], changed: Sequence[str]) -> Verdict:
    """The first rule that matches; where none does, the job is not in the pipeline."""
    for rule in flat(rules):
        if _applies(rule, variables, files, changed):
            when = None if rule.get("when") is None else str(rule["when"])
            given = declared(rule.get("variables"), "rules:variables")
            allowed = rule.get("allow_failure")
            return Verdict(
                when != "never", when, allowed, given, needs=rule.get("needs"), start_in=rule.get("start_in")
            )
    return Verdict(included=False)


def _applies(
    rule: Mapping[str, Any], variables: Mapping[str, str], files: Sequence[str], changed: Sequence[str]
) -> bool:
    if rule.get("if") is not None and not evaluate(str(rule["if"]), variables):
        return False
    for key, present in (("exists", files), ("changes", changed)):
        if rule.get(key) is not None and not _any(_paths(rule[key]), present, variables):
            return False
    return True


def _any(patterns: Sequence[str], present: Sequence[str], variables: Mapping[str, str]) -> bool:
    wanted = [expand(one, variables) for one in patterns]
    return any(matches(path, one) for one in wanted for path in present)


def _paths(given: Any) -> list[str]:
    listed = given.get("paths") if isinstance(given, dict) else given
    return [str(path) for path in (listed if isinstance(listed, list) else [listed]) if path is not None]


def only_except(job: Mapping[str, Any], ref: str, source: str, variables: Mapping[str, str]) -> bool:
    """`only`/`except` by name of branch or tag, pattern, keyword or variables."""
    if job.get("only") is not None and not _policy(job["only"], ref, source, variables):
        return False
    return job.get("except") is None or not _policy(job["except"], ref, source, variables)


def _policy(given: Any, ref: str, source: str, variables: Mapping[str, str]) -> bool:
    if isinstance(given, dict):
        refs, expressions = given.get("refs"), given.get("variables")
        fits = refs is None or _policy(refs, ref, source, variables)
        return fits and (expressions is None or any(evaluate(str(one), variables) for one in _listed(expressions)))
    kind = "tags" if "CI_COMMIT_TAG" in variables else "branches"
    keywords = {ref, kind, {"push": "pushes", "schedule": "schedules"}.get(source, source)}
    return any(one in keywords or _named(one, ref) for one in map(str, _listed(given)))


def _named(one: str, ref: str) -> bool:
    try:
        return pattern(one).search(ref) is not None
    except re.error:
        return False


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]
