"""What GitLab refuses in a document before it makes jobs of it, in the words of its entry validators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.gitlab.ci_duration import duration
from sandbox.gitlab.ci_expression import parse
from sandbox.gitlab.ci_keys import (
    ARTIFACT_KEYS,
    GLOBALS,
    IMAGE_KEYS,
    INHERITED,
    JOB_KEYS,
    NEED_KEYS,
    RETRY_WHENS,
    RULE_KEYS,
    WHENS,
)
from sandbox.gitlab.ci_rules import flat
from sandbox.gitlab.ci_variables import declared
from sandbox.gitlab.ci_yaml import CiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_RETRY = 2
MAX_PARALLEL = 200
MAX_LEVELS = 10


def visible(document: Mapping[str, Any]) -> list[str]:
    """The names of the document's jobs."""
    return [name for name in document if name not in GLOBALS and not name.startswith(".")]


def problems(document: Mapping[str, Any]) -> list[str]:
    """Every sentence that GitLab's validators have about the document; none where it is well formed."""
    found = list(_root(document))
    names = visible(document)
    if not any(_is_job(document[name]) for name in names):
        found.append("jobs config should contain at least one visible job")
    for name in names:
        if _is_job(document[name]):
            found += _job(f"jobs:{name}", document[name])
        else:
            found.append(f"jobs:{name} config should implement the script:, run:, or trigger: keyword")
    return found


def _is_job(job: Any) -> bool:
    return isinstance(job, dict) and any(key in job for key in ("script", "run", "trigger"))


def _root(document: Mapping[str, Any]) -> Iterator[str]:
    stages = document.get("stages")
    if stages is not None and not _strings(stages):
        yield "stages config should be an array of strings"
    default = document.get("default") or {}
    if not isinstance(default, dict):
        yield "default config should be a hash"
    else:
        yield from _unknown("default", default, INHERITED)
        yield from _inheritable("default", default)
    yield from _inheritable("root", {key: document[key] for key in GLOBALS & INHERITED if key in document})
    yield from _variables("variables", document.get("variables"))
    workflow = document.get("workflow") or {}
    if not isinstance(workflow, dict):
        yield "workflow config should be a hash"
    else:
        yield from _unknown("workflow", workflow, frozenset({"rules", "name", "auto_cancel"}))
        yield from _rules("workflow:rules", workflow.get("rules"), RULE_KEYS | {"auto_cancel"})


def _job(where: str, job: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(where, job, JOB_KEYS)
    yield from _scripts(where, job)
    yield from _inheritable(where, job)
    yield from _variables(f"{where}:variables", job.get("variables"))
    yield from _rules(f"{where}:rules", job.get("rules"), RULE_KEYS)
    clashing = [key for key in ("only", "except", "start_in") if job.get(key) is not None]
    if job.get("rules") is not None and clashing:
        yield f"{where} config key may not be used with `rules`: {', '.join(clashing)}"
    if job.get("when") is not None and job["when"] not in WHENS:
        yield f"{where} when should be one of: {', '.join(WHENS)}"
    if job.get("stage") is not None and not isinstance(job["stage"], str):
        yield f"{where}:stage config should be a string"
    if job.get("dependencies") is not None and not _strings(job["dependencies"]):
        yield f"{where} dependencies should be an array of strings"
    if not isinstance(job.get("allow_failure", False), bool | dict):
        yield f"{where} allow_failure should be a hash or a boolean value"
    yield from _exit_codes(where, job.get("allow_failure"))
    yield from _parallel(where, job.get("parallel"))
    yield from _needs(f"{where}:needs", job.get("needs"))
    yield from _beside_needs(where, job)


def _scripts(where: str, job: Mapping[str, Any]) -> Iterator[str]:
    if "script" in job and not job["script"]:
        yield f"{where} script can't be blank"
    elif "script" in job and not _script(job["script"], MAX_LEVELS):
        yield f"{where}:script config should be a string or a nested array of strings up to 10 levels deep"


def _inheritable(where: str, given: Mapping[str, Any]) -> Iterator[str]:
    """What stands in a job, in `default` and (the older way) at the top."""
    at = "" if where == "root" else f"{where}:"
    for key in ("before_script", "after_script"):
        if given.get(key) is not None and not _script(given[key], MAX_LEVELS):
            yield f"{at}{key} config should be a string or a nested array of strings up to 10 levels deep"
    yield from _image(f"{at}image", given.get("image"))
    services = given.get("services")
    if services is not None and not isinstance(services, list):
        yield f"{at}services config should be a array"
    for service in services if isinstance(services, list) else []:
        yield from _image(f"{at}services:service", service)
    yield from _retry(f"{at}retry", given.get("retry"))
    if given.get("timeout") is not None and duration(given["timeout"]) is None:
        yield f"{at}timeout config should be a duration"
    artifacts = given.get("artifacts")
    if artifacts is not None and not isinstance(artifacts, dict):
        yield f"{at}artifacts config should be a hash"
    yield from _unknown(f"{at}artifacts", artifacts if isinstance(artifacts, dict) else {}, ARTIFACT_KEYS)
    if given.get("tags") is not None and not _strings(given["tags"]):
        yield f"{at}tags config should be an array of strings"


def _image(where: str, image: Any) -> Iterator[str]:
    if isinstance(image, dict):
        yield from _unknown(where, image, IMAGE_KEYS)
        if not isinstance(image.get("name"), str):
            yield f"{where} name should be a string"
    elif image is not None and not isinstance(image, str):
        yield f"{where} config should be a hash or a string"


def _retry(where: str, retry: Any) -> Iterator[str]:
    if retry is None:
        return
    if isinstance(retry, bool) or not isinstance(retry, int | dict):
        yield f"{where} config has to be either an integer or a hash"
        return
    most, named = (retry.get("max") or 0, "max") if isinstance(retry, dict) else (retry, "config")
    if isinstance(most, bool) or not isinstance(most, int):
        yield f"{where} {named} must be an integer"
    elif not 0 <= most <= MAX_RETRY:
        bound = "greater than or equal to 0" if most < 0 else "less than or equal to 2"
        yield f"{where} {named} must be {bound}"
    if isinstance(retry, dict):
        yield from _unknown(where, retry, frozenset({"max", "when", "exit_codes"}))
        whens = retry.get("when") or []
        unknown = [str(one) for one in (whens if isinstance(whens, list) else [whens]) if str(one) not in RETRY_WHENS]
        if unknown and isinstance(whens, list):
            yield f"{where} when contains unknown values: {', '.join(unknown)}"
        elif unknown:
            yield f"{where} when is not included in the list"
        if retry.get("exit_codes") is not None and not _integers(retry["exit_codes"]):
            yield f"{where} exit codes should be an array of integers or an integer"


def _variables(where: str, given: Any) -> Iterator[str]:
    try:
        declared(given, where)
    except CiError as error:
        yield str(error)


def _rules(where: str, rules: Any, keys: frozenset[str]) -> Iterator[str]:
    if rules is None:
        return
    if not _nested_hashes(rules, MAX_LEVELS):
        yield f"{where} config should be an array containing hashes and arrays of hashes"
        return
    for rule in flat(rules):
        yield from _unknown(f"{where}:rule", rule, keys)
        if rule.get("when") is not None and rule["when"] not in (*WHENS, "never"):
            yield f"{where}:rule when unknown value: {rule['when']}"
        if rule.get("allow_failure") is not None and not isinstance(rule["allow_failure"], bool):
            yield f"{where}:rule allow failure should be a boolean value"
        if rule.get("if") is not None:
            try:
                parse(rule["if"])
            except CiError as error:
                yield f"{where}:rule if {error}"
        yield from _variables(f"{where}:rule:variables", rule.get("variables"))
        yield from _needs(f"{where}:rule:needs", rule.get("needs"))


def _exit_codes(where: str, allowed: Any) -> Iterator[str]:
    if isinstance(allowed, dict):
        yield from _unknown(f"{where}:allow_failure", allowed, frozenset({"exit_codes"}))
        if not _integers(allowed.get("exit_codes")):
            yield f"{where}:allow_failure exit codes should be an array of integers or an integer"


def _parallel(where: str, parallel: Any) -> Iterator[str]:
    if parallel is None:
        return
    if isinstance(parallel, dict):
        matrix = parallel.get("matrix")
        yield from _unknown(f"{where}:parallel", parallel, frozenset({"matrix"}))
        if not isinstance(matrix, list) or not matrix or not all(isinstance(one, dict) and one for one in matrix):
            yield f"{where}:parallel:matrix config should be an array of hashes"
    elif isinstance(parallel, bool) or not isinstance(parallel, int):
        yield f"{where}:parallel should be an integer or a hash"
    elif not 1 <= parallel <= MAX_PARALLEL:
        bound = "greater than or equal to 1" if parallel < 1 else f"less than or equal to {MAX_PARALLEL}"
        yield f"{where}:parallel config must be {bound}"


def _needs(where: str, needs: Any) -> Iterator[str]:
    if needs is None:
        return
    if not isinstance(needs, list | dict):
        yield f"{where} config can only be a hash or an array"
        return
    for need in needs if isinstance(needs, list) else [needs]:
        if isinstance(need, dict):
            yield from _unknown(f"{where}:need", need, NEED_KEYS)
        if not isinstance(need, str) and not (isinstance(need, dict) and {"job", "pipeline"} & set(need)):
            yield f"{where}:need has to be a string, a hash with job or a hash with pipeline"
        elif isinstance(need, dict) and not isinstance(need.get("job", ""), str):
            yield f"{where}:need job should be a string"


def _beside_needs(where: str, job: Mapping[str, Any]) -> Iterator[str]:
    """Dependencies of a job with needs must be among these."""
    needs, dependencies = job.get("needs"), job.get("dependencies")
    if needs and isinstance(needs, list | dict) and _strings(dependencies):
        listed = needs if isinstance(needs, list) else [needs]
        names = [need.get("job") if isinstance(need, dict) else need for need in listed]
        missing = [one for one in dependencies or () if one not in names]
        if missing:
            yield f"{where} dependencies the {', '.join(missing)} should be part of needs"


def _unknown(where: str, given: Mapping[str, Any], known: frozenset[str]) -> Iterator[str]:
    unknown = [str(key) for key in given if key not in known]
    if unknown:
        yield f"{where} config contains unknown keys: {', '.join(unknown)}"


def _integers(given: Any) -> bool:
    listed = given if isinstance(given, list) else [given]
    return bool(listed) and all(isinstance(one, int) and not isinstance(one, bool) for one in listed)


def _strings(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(one, str) for one in given)


def _script(given: Any, levels: int) -> bool:
    if isinstance(given, list):
        return levels > 0 and all(_script(one, levels - 1) for one in given)
    return isinstance(given, str)


def _nested_hashes(given: Any, levels: int) -> bool:
    return isinstance(given, list) and all(
        isinstance(one, dict) or (levels > 1 and _nested_hashes(one, levels - 1)) for one in given
    )
