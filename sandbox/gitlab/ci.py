"""From `.gitlab-ci.yml` to the jobs of one pipeline, or to the errors that GitLab would show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from sandbox.gitlab.ci_jobs import compiled, project_variables, variables_of
from sandbox.gitlab.ci_merge import Includes, extended
from sandbox.gitlab.ci_order import Need, Plan, missing_needs
from sandbox.gitlab.ci_records import Compiled, CompiledJob, Context, Retry
from sandbox.gitlab.ci_rules import Verdict, flat, judge
from sandbox.gitlab.ci_validate import problems, visible
from sandbox.gitlab.ci_variables import declared, predefined
from sandbox.gitlab.ci_yaml import TOO_BIG, CiError, parse, resolve

__all__ = ["Compiled", "CompiledJob", "Context", "Retry", "compile_pipeline"]

SEVERAL_PIPELINES = (
    "may allow multiple pipelines to run for a single action due to `rules:when` clause with no `workflow:rules` - "
    "read more: https://docs.gitlab.com/ee/ci/troubleshooting.html#pipeline-warnings"
)


def compile_pipeline(text: str, context: Context) -> Compiled:
    """Never raises: what GitLab would refuse is in `errors`, in its words."""
    try:
        return _compile(text, context)
    except CiError as error:
        return Compiled(errors=(str(error),))
    except RecursionError:
        return Compiled(errors=(TOO_BIG,))


def _compile(text: str, context: Context) -> Compiled:
    base = {**predefined(context.ref, context.default_branch, context.source, tag=context.tag), **context.variables}
    document = _document(text, context, base)
    merged = yaml.dump(document, Dumper=_Plain, sort_keys=False, explicit_start=True)
    errors = problems(document)
    if errors:
        return Compiled(errors=tuple(errors), merged_yaml=merged)
    plan = Plan(document)
    try:
        plan.check()
        workflow = _workflow(document, base, context)
        if not workflow.included:
            return Compiled(filtered=True, merged_yaml=merged)
        document["variables"] = {**(document.get("variables") or {}), **workflow.variables}
        jobs, errors = _jobs(plan, document, base, context)
    except CiError as error:
        return Compiled(errors=(str(error),), merged_yaml=merged)
    if errors:
        return Compiled(errors=tuple(errors), merged_yaml=merged)
    return Compiled((), tuple(_warnings(document)), tuple(jobs), not jobs, merged)


class _Plain(yaml.SafeDumper):
    """Writes shared values out instead of anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _document(text: str, context: Context, base: dict[str, str]) -> dict[str, Any]:
    """Includes first, then `extends`, then `!reference`: GitLab's order."""
    own = parse(text)
    includes = Includes(context.read, context.files, context.changed, base | project_variables(context))
    return resolve(extended(includes.merged(own)))


def _workflow(document: dict[str, Any], base: dict[str, str], context: Context) -> Verdict:
    rules = (document.get("workflow") or {}).get("rules")
    if rules is None:
        return Verdict(included=True)
    values = {**base, **declared(document.get("variables"), "variables"), **project_variables(context)}
    return judge(rules, values, context.files, context.changed)


def _jobs(
    plan: Plan, document: dict[str, Any], base: dict[str, str], context: Context
) -> tuple[list[CompiledJob], list[str]]:
    """The jobs that the rules let in, and what is wrong with their needs then."""
    jobs: dict[str, CompiledJob] = {}
    needs: dict[str, tuple[Need, ...]] = {}
    for draft in plan.drafts.values():
        try:
            made = compiled(draft, variables_of(draft, document, base, context), context)
        except CiError as error:
            return [], [f"{draft.name}: {error}"]
        if made is not None:
            jobs[draft.name], verdict = made
            wanted = draft.needs if verdict.needs is None else plan.needs(verdict.needs)
            plan.check_needs(draft, wanted)
            if wanted is not None:
                needs[draft.name] = wanted
    errors = [error for name, wanted in needs.items() for error in missing_needs(name, wanted, jobs)]
    return [_with_needs(job, needs.get(name), jobs) for name, job in jobs.items()], errors


def _with_needs(job: CompiledJob, needs: tuple[Need, ...] | None, jobs: dict[str, CompiledJob]) -> CompiledJob:
    if needs is None:
        return job
    there = [need for need in needs if need.name in jobs]
    fetched = tuple(need.name for need in there if need.artifacts)
    return replace(job, needs=tuple(need.name for need in there), needs_artifacts=fetched)


def _warnings(document: dict[str, Any]) -> list[str]:
    """GitLab's warning of jobs whose last rule is a bare `when`."""
    if (document.get("workflow") or {}).get("rules") is not None:
        return []
    bare = []
    for name in visible(document):
        rules = flat(document[name].get("rules"))
        if rules and list(rules[-1]) == ["when"] and rules[-1]["when"] != "never":
            bare.append(f"jobs:{name} {SEVERAL_PIPELINES}")
    return bare
