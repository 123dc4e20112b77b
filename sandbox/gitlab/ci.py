"""From `.gitlab-ci.yml` to the jobs of one pipeline, or to the errors that GitLab would show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.gitlab.ci_rules import Verdict, evaluate, expand, judge
from sandbox.gitlab.ci_yaml import CiError, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

GLOBALS = frozenset(
    "default include stages variables workflow image services before_script after_script cache spec pages".split()
) - {"pages"}
DEFAULT_STAGES = ("build", "test", "deploy")
WHENS = frozenset({"on_success", "on_failure", "always", "manual", "delayed", "never"})
INHERITED = ("image", "services", "before_script", "after_script", "timeout", "retry", "artifacts", "tags")
INHERITED += ("interruptible", "cache")
TIMEOUT_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DEFAULT_TIMEOUT = 3600


@dataclass(frozen=True)
class Context:
    """What the pipeline is made for: the ref, the repository's files, what changed, and project variables."""

    ref: str
    default_branch: str
    files: Sequence[str] = ()
    changed: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    source: str = "push"
    read: Callable[[str], str | None] = lambda _path: None


@dataclass(frozen=True)
class CompiledJob:
    """One job, everything inherited and expanded; `needs` is None where the stages decide the order."""

    name: str
    stage: str
    when: str = "on_success"
    allow_failure: bool = False
    needs: tuple[str, ...] | None = None
    dependencies: tuple[str, ...] | None = None
    image: str | None = None
    services: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    after_script: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    artifacts: bool = False
    retry: int = 0
    timeout_seconds: int = DEFAULT_TIMEOUT
    stage_index: int = 0


@dataclass(frozen=True)
class Compiled:
    """The result: errors, or jobs in the order of the file; `filtered` where the rules removed every job."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    jobs: tuple[CompiledJob, ...] = ()
    filtered: bool = False
    merged_yaml: str = ""


def compile_pipeline(text: str, context: Context) -> Compiled:
    """Never raises: what GitLab would refuse is in `errors`, in its words."""
    try:
        document = _included(load(text), context)
        stages = _stages(document)
        variables = _predefined(context) | _variables(document.get("variables"), "variables")
        merged = yaml.safe_dump(document, sort_keys=False)
        names = [name for name in document if name not in GLOBALS and not name.startswith(".")]
        if not names:
            raise CiError("jobs config should contain at least one visible job")
        if not _workflow(document, variables, context):
            return Compiled(filtered=True, merged_yaml=merged)
        jobs = [_job(name, document, stages, variables, context) for name in names]
        errors = [error for name in names for error in _problems(name, document, stages)]
        if errors:
            return Compiled(errors=tuple(errors), merged_yaml=merged)
        included = tuple(job for job in jobs if job is not None)
        _check_needs(included, names, stages)
    except CiError as error:
        return Compiled(errors=(str(error),))
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        return Compiled(errors=(f"Invalid configuration format: {error}",))
    return Compiled(jobs=included, filtered=not included, merged_yaml=merged)


def _included(document: dict[str, Any], context: Context) -> dict[str, Any]:
    """The document with its local includes below it."""
    merged: dict[str, Any] = {}
    includes = document.pop("include", [])
    for include in includes if isinstance(includes, list) else [includes]:
        path = include if isinstance(include, str) else (include or {}).get("local")
        if not path:
            raise CiError(f"Include `{include}` needs to match exactly one accessor! (only local files here)")
        text = context.read(str(path).lstrip("/"))
        if text is None:
            raise CiError(f"Local file `{path}` does not exist!")
        merged |= load(text)
    return merged | document


def _stages(document: dict[str, Any]) -> list[str]:
    stages = document.get("stages", list(DEFAULT_STAGES))
    if not isinstance(stages, list) or not all(isinstance(stage, str) for stage in stages):
        raise CiError("stages config should be an array of strings")
    return [".pre", *(stage for stage in stages if stage not in {".pre", ".post"}), ".post"]


def _variables(given: Any, where: str) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise CiError(f"{where} config should be a hash of key value pairs")
    values = {str(key): value.get("value", "") if isinstance(value, dict) else value for key, value in given.items()}
    for key, value in values.items():
        if isinstance(value, list | dict):
            raise CiError(f"{where}:{key} config must be a string")
    return {key: "" if value is None else _scalar(value) for key, value in values.items()}


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _predefined(context: Context) -> dict[str, str]:
    """The CI_* variables that rules look at; what the project sets comes after them."""
    return {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_COMMIT_BRANCH": context.ref,
        "CI_COMMIT_REF_NAME": context.ref,
        "CI_COMMIT_REF_SLUG": re.sub(r"[^a-z0-9]", "-", context.ref.lower())[:63].strip("-"),
        "CI_DEFAULT_BRANCH": context.default_branch,
        "CI_PIPELINE_SOURCE": context.source,
        **context.variables,
    }


def _workflow(document: dict[str, Any], variables: dict[str, str], context: Context) -> bool:
    workflow = document.get("workflow") or {}
    if not isinstance(workflow, dict) or "rules" not in workflow:
        return True
    return judge(workflow["rules"], variables, context.files, context.changed).included


def _job(
    name: str, document: dict[str, Any], stages: list[str], variables: dict[str, str], context: Context
) -> CompiledJob | None:
    """The job as it is in the pipeline; None where its rules leave it out."""
    job = _inherit(document[name], document, name)
    variables = variables | {"CI_JOB_NAME": name} | _variables(job.get("variables"), f"jobs:{name}:variables")
    verdict = Verdict(included=True)
    if job.get("rules") is not None:
        verdict = judge(job["rules"], variables, context.files, context.changed)
    elif "only" in job or "except" in job:
        verdict = Verdict(_only(job, context))
    if not verdict.included:
        return None
    variables |= verdict.variables
    when = verdict.when or str(job.get("when", "on_success"))
    stage = str(job.get("stage", "test"))
    allowed = job.get("allow_failure", when == "manual" and verdict.when is None)
    image = job.get("image")
    return CompiledJob(
        name=name,
        stage=stage,
        when=when,
        allow_failure=verdict.allow_failure if verdict.allow_failure is not None else bool(allowed),
        needs=_names(job["needs"]) if job.get("needs") is not None else None,
        dependencies=_names(job["dependencies"]) if job.get("dependencies") is not None else None,
        image=expand(_name_of(image), variables) if image else None,
        services=tuple(expand(_name_of(service), variables) for service in job.get("services") or ()),
        script=_lines(job.get("before_script")) + _lines(job.get("script")),
        after_script=_lines(job.get("after_script")),
        variables=variables,
        artifacts=bool(job.get("artifacts")),
        retry=_retry(job.get("retry")),
        timeout_seconds=_seconds(job.get("timeout")),
        stage_index=stages.index(stage) if stage in stages else 0,
    )


def _inherit(job: Any, document: dict[str, Any], name: str) -> dict[str, Any]:
    """The job over the defaults, as far as its `inherit` allows."""
    if not isinstance(job, dict):
        raise CiError(f"jobs:{name} config should be a hash")
    default = {key: document[key] for key in INHERITED if key in document} | (document.get("default") or {})
    allowed = (job.get("inherit") or {}).get("default", True)
    if allowed is False:
        default = {}
    elif isinstance(allowed, list):
        default = {key: value for key, value in default.items() if key in allowed}
    return {key: value for key, value in default.items() if key in INHERITED} | job


def _only(job: dict[str, Any], context: Context) -> bool:
    """`only`/`except` by branch name, pattern or `branches`."""

    def hit(refs: Any) -> bool:
        listed = refs.get("refs", []) if isinstance(refs, dict) else refs
        return any(
            ref in (context.ref, "branches", "pushes")
            or (len(ref) > 1 and ref[0] == ref[-1] == "/" and re.search(ref[1:-1], context.ref))
            for ref in map(str, listed)
        )

    return ("only" not in job or hit(job["only"])) and not ("except" in job and hit(job["except"]))


def _problems(name: str, document: dict[str, Any], stages: list[str]) -> list[str]:
    """What GitLab refuses in one job."""
    job = _inherit(document[name], document, name)
    problems = []
    if not any(key in job for key in ("script", "run", "trigger")):
        problems.append(f"jobs:{name} config should implement the script:, run:, or trigger: keyword")
    elif "script" in job and not _script(job["script"]):
        problems.append(
            f"jobs:{name}:script config should be a string or a nested array of strings up to 10 levels deep"
        )
    stage = str(job.get("stage", "test"))
    if stage not in stages:
        listed = ", ".join(stages)
        problems.append(f"{name} job: chosen stage {stage} does not exist; available stages are {listed}")
    if job.get("when", "on_success") not in WHENS:
        problems.append(f"jobs:{name} when should be one of: {', '.join(sorted(WHENS))}")
    for rule in job.get("rules") or ():
        if isinstance(rule, dict) and "if" in rule:
            try:
                evaluate(str(rule["if"]), {})
            except CiError as error:
                problems.append(f"jobs:{name}:rules:rule if {error}")
    return problems


def _check_needs(jobs: Sequence[CompiledJob], names: Sequence[str], stages: list[str]) -> None:
    by_name = {job.name: job for job in jobs}
    for job in jobs:
        for word, wanted in (("needs", job.needs), ("dependencies", job.dependencies)):
            for need in wanted or ():
                if need not in names:
                    raise CiError(f"{job.name} job: undefined {'need' if word == 'needs' else 'dependency'}: {need}")
                if need not in by_name:
                    raise CiError(f"'{job.name}' job needs '{need}' job, but '{need}' does not exist in the pipeline.")
                if stages.index(by_name[need].stage) > job.stage_index:
                    one = "need" if word == "needs" else "dependency"
                    raise CiError(f"{job.name} job: {one} {need} is not defined in current or prior stages")
    _check_cycles(by_name)


def _check_cycles(jobs: Mapping[str, CompiledJob]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise CiError("The pipeline has circular dependencies: " + ", ".join(f'"{n}"' for n in path))
        if name not in done:
            for need in jobs[name].needs or ():
                visit(need, (*path, name))
            done.add(name)

    for name in jobs:
        visit(name, ())


def _names(needs: Any) -> tuple[str, ...]:
    listed = needs if isinstance(needs, list) else [needs]
    required = [n for n in listed if not (isinstance(n, dict) and n.get("optional"))]
    return tuple(str(need["job"] if isinstance(need, dict) else need) for need in required)


def _name_of(image: Any) -> str:
    return str(image.get("name", "")) if isinstance(image, dict) else str(image)


def _lines(script: Any) -> tuple[str, ...]:
    if script is None:
        return ()
    if isinstance(script, list):
        return tuple(line for entry in script for line in _lines(entry))
    return (str(script),)


def _script(script: Any) -> bool:
    if isinstance(script, list):
        return bool(script) and all(_script(entry) for entry in script)
    return isinstance(script, str)


def _retry(retry: Any) -> int:
    count = retry.get("max", 0) if isinstance(retry, dict) else retry or 0
    if not isinstance(count, int) or not 0 <= count <= 2:  # noqa: PLR2004 - GitLab's limit
        raise CiError("retry config must be less than or equal to 2")
    return count


def _seconds(timeout: Any) -> int:
    """`1h 30m`, `90 minutes` and the like."""
    if timeout is None:
        return DEFAULT_TIMEOUT
    found = re.findall(r"(\d+)\s*([smhd])", str(timeout).lower())
    if not found:
        raise CiError("timeout config should be a duration")
    return sum(int(amount) * TIMEOUT_UNITS[unit] for amount, unit in found)
