"""One job of the document as it is in the pipeline: defaults inherited, rules judged, variables filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.gitlab.ci_duration import duration
from sandbox.gitlab.ci_keys import GLOBALS, INHERITED
from sandbox.gitlab.ci_records import DEFAULT_TIMEOUT, CompiledJob, Context, Retry
from sandbox.gitlab.ci_rules import Verdict, judge, only_except
from sandbox.gitlab.ci_variables import declared, expand, is_predefined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.gitlab.ci_order import Draft


def inherited(job: dict[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The job over `default` and over what the older way put at the top, as far as its `inherit` allows."""
    given = {key: document[key] for key in GLOBALS & INHERITED if key in document} | (document.get("default") or {})
    rule = job.get("inherit")
    allowed = rule.get("default", True) if isinstance(rule, dict) else True
    if isinstance(allowed, list):
        given = {key: value for key, value in given.items() if key in allowed}
    elif not allowed:
        given = {}
    if "trigger" in job:
        given = {}
    return given | {key: value for key, value in job.items() if value is not None}


def variables_of(
    draft: Draft, document: Mapping[str, Any], base: Mapping[str, str], context: Context
) -> dict[str, str]:
    """Weakest first: GitLab's own, the file's, the job's, its matrix's, the project's."""
    rule = draft.job.get("inherit")
    allowed = rule.get("variables", True) if isinstance(rule, dict) else True
    top = declared(document.get("variables"), "variables")
    if isinstance(allowed, list):
        top = {key: value for key, value in top.items() if key in allowed}
    elif not allowed:
        top = {}
    own = declared(draft.job.get("variables"), f"jobs:{draft.name}:variables")
    named = {"CI_JOB_NAME": draft.name, "CI_JOB_STAGE": draft.stage}
    return {**base, **named, **top, **own, **draft.variables, **project_variables(context)}


def project_variables(context: Context) -> dict[str, str]:
    """Those of the context that are not GitLab's own; they go before the file's."""
    return {key: value for key, value in context.variables.items() if not is_predefined(key)}


def compiled(draft: Draft, variables: dict[str, str], context: Context) -> tuple[CompiledJob, Verdict] | None:
    """The job and what its rules said; None where they leave it out."""
    verdict = _verdict(draft.job, variables, context)
    if not verdict.included:
        return None
    values = {**variables, **verdict.variables, **project_variables(context)}
    return _record(draft, verdict, values), verdict


def _verdict(job: Mapping[str, Any], variables: Mapping[str, str], context: Context) -> Verdict:
    if job.get("rules") is not None:
        return judge(job["rules"], variables, context.files, context.changed)
    return Verdict(only_except(job, context.ref, context.source, variables))


def _record(draft: Draft, verdict: Verdict, variables: dict[str, str]) -> CompiledJob:
    job = draft.job
    when = verdict.when or job.get("when") or "on_success"
    allowed, codes = _allowed(job, verdict)
    image = job.get("image")
    return CompiledJob(
        name=draft.name,
        stage=draft.stage,
        stage_index=draft.stage_index,
        when=when,
        allow_failure=allowed,
        allow_failure_codes=codes,
        dependencies=draft.dependencies,
        image=expand(_name(image), variables) if image else None,
        services=tuple(expand(_name(service), variables) for service in job.get("services") or ()),
        before_script=lines(job.get("before_script")),
        script=lines(job.get("script")),
        after_script=lines(job.get("after_script")),
        variables=variables,
        artifacts=job.get("artifacts") or {},
        retry=_retry(job.get("retry")),
        timeout_seconds=duration(job.get("timeout")) or DEFAULT_TIMEOUT,
        start_in_seconds=duration(verdict.start_in or job.get("start_in")) or 0,
        trigger="trigger" in job,
        cache=_caches(job.get("cache"), variables),
        coverage=str(job["coverage"]) if job.get("coverage") else None,
        environment=_environment(job.get("environment"), variables),
        tags=tuple(expand(str(tag), variables) for tag in job.get("tags") or ()),
        entrypoint=_entrypoint(image),
        service_details=tuple(_details(service) for service in job.get("services") or ()),
    )


def _caches(given: Any, variables: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """Each cache of the job, its key and paths filled in; a `key:files` is left for the files to decide."""
    listed = given if isinstance(given, list) else [given] if given else []
    return tuple(_cache(one, variables) for one in listed if isinstance(one, dict))


def _cache(given: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    key = given.get("key", "default")
    filled = {"paths": [expand(str(path), variables) for path in given.get("paths") or ()]}
    return {**given, **filled, "key": key if isinstance(key, dict) else expand(str(key), variables)}


def _environment(given: Any, variables: Mapping[str, str]) -> str | None:
    name = given.get("name") if isinstance(given, dict) else given
    return expand(str(name), variables) if name else None


def _entrypoint(image: Any) -> tuple[str, ...] | None:
    given = image.get("entrypoint") if isinstance(image, dict) else None
    return None if given is None else tuple(map(str, given if isinstance(given, list) else [given]))


def _details(service: Any) -> dict[str, Any]:
    return dict(service) if isinstance(service, dict) else {"name": str(service)}


def _allowed(job: Mapping[str, Any], verdict: Verdict) -> tuple[bool, tuple[int, ...]]:
    """Whether the job may fail, and the exit codes with which it may; a manual job may unless a rule made it so."""
    given = job.get("allow_failure")
    if verdict.allow_failure is not None:
        return verdict.allow_failure, ()
    if isinstance(given, dict):
        codes = given.get("exit_codes")
        return False, tuple(codes) if isinstance(codes, list) else (codes,) if isinstance(codes, int) else ()
    if given is not None:
        return bool(given), ()
    return job.get("when") == "manual" and verdict.when in (None, "manual") and job.get("rules") is None, ()


def _name(image: Any) -> str:
    return str(image.get("name", "")) if isinstance(image, dict) else str(image)


def lines(script: Any) -> tuple[str, ...]:
    """The commands of a script, lists within lists laid out."""
    if script is None:
        return ()
    if isinstance(script, list):
        return tuple(line for entry in script for line in lines(entry))
    return (str(script),)


def _retry(given: Any) -> Retry:
    if not isinstance(given, dict):
        return Retry(given or 0)
    whens, codes = given.get("when") or ["always"], given.get("exit_codes")
    listed = codes if isinstance(codes, list) else [] if codes is None else [codes]
    return Retry(
        given.get("max") or 0, tuple(map(str, whens if isinstance(whens, list) else [whens])), tuple(map(int, listed))
    )
