"""The house rules, as a table: what no pipeline may do, whoever wrote it (design, section 6)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.ci.dockerfile_images import dockerfile_images
from shared.ci.executed import assigned, executed, forms, known_to
from shared.ci.finding import DOCKERFILE, PIPELINE, Finding, at
from shared.ci.forbidden import PRIVILEGED_IMAGE, SECRET_USED, downloaded_and_run, objections
from shared.ci.image_names import images_of_jobs, objection
from shared.ci.instructions import Instruction, heredocs, instructions
from shared.ci.needs import listed
from shared.ci.predefined import GITLAB, SETTABLE
from shared.ci.private_names import is_private
from shared.ci.published import check_published
from shared.ci.rules import reason
from shared.ci.secrets import environment_of, secret_in
from shared.ci.stages import JOBS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.ci.commands import Command
    from shared.ci.document import Document, Path
    from shared.events import Files

# What the runner takes for no (Go's strconv.ParseBool); what is in a variable, or in a list, may be yes.
OFF = frozenset({"false", "0", "f", "", "none"})


def check_policy(document: Document, files: Files, registry: str | None) -> Iterator[Finding]:
    """Every finding of the house rules over both files; without a registry none about where images come from."""
    yield from pipeline_policy(document, registry)
    yield from dockerfile_policy(files.dockerfile, registry)


def pipeline_policy(document: Document, registry: str | None) -> Iterator[Finding]:
    """Every finding of the house rules over the pipeline."""
    commands = executed(document)
    yield from _images(document, registry)
    for top, of_one in commands.items():
        yield from _commands(of_one, known_to(document, top))
    yield from _in_clear(document.text, PIPELINE)
    for path, section in _sections(document):
        for name, value in section.items():
            yield from _variable(document, (*path, name), name, value)
    for name, job in document.resolved.items():
        yield from _job(document, name, job)
        yield from check_published(document, name, job, commands.get(name, ()))
        if "trigger" in job:
            yield at(document, (name, "trigger"), "policy-trigger", f"job {name!r}: {reason('policy-trigger')}")
    if document.header:
        yield at(document, (), "policy-include", f"spec: a value from elsewhere: {reason('policy-include')}")
    for path in [("include",)] if "include" in document.root else _steps(document):
        yield at(document, path, "policy-include", f"{path[-1]}: {reason('policy-include')}")


def _images(document: Document, registry: str | None) -> Iterator[Finding]:
    """Findings about each image of each job; one for each place in the file, however many jobs take it from there."""
    said: set[tuple[Path, str]] = set()
    for name, path, reference, problem in images_of_jobs(document):
        found = _image_objection(reference, problem, registry)
        if found and (path, reference) not in said:
            said.add((path, reference))
            yield at(document, path, found[0], f"job {name!r}: {found[1]}")


def _image_objection(reference: str, problem: str, registry: str | None) -> tuple[str, str] | None:
    """Rule and sentence about one image, or None."""
    if PRIVILEGED_IMAGE.search(reference):
        return "policy-privileged", f"image {reference!r} needs a privileged container: {reason('policy-privileged')}"
    if registry is None:
        return None
    problem = problem or objection(reference)
    if problem:
        return "policy-image-unresolved", f"image {reference!r}: {problem}"
    if not is_private(reference, registry):
        why = reason("policy-image-registry")
        return "policy-image-registry", f"image {reference!r} is not from {registry}: {why}"
    return None


def _commands(commands: list[Command], variables: Mapping[str, str]) -> Iterator[Finding]:
    """Findings about the commands of one job, which know each other's variables."""
    texts = [command.text for command in commands]
    secrets_near = any(map(SECRET_USED.search, texts))
    known = {**variables, **assigned(texts)}
    for command in commands:
        for rule, what in _objections(command.text, known, secrets_near=secrets_near):
            yield Finding(rule, "error", command.file, command.line, command.column, what)
    yield from _downloads(commands)


def _objections(text: str, known: Mapping[str, str], *, secrets_near: bool) -> Iterator[tuple[str, str]]:
    """Rule and sentence for each rule that a command breaks, as written or as the shell will see it."""
    said: set[str] = set()
    for form in forms(text, known):
        for rule, what in _judged(form, secrets_near=secrets_near):
            # A value that only the expanded form has is judged where it is written.
            if rule not in said and (form is text or rule != "policy-secret"):
                said.add(rule)
                yield rule, what


@lru_cache(maxsize=2_048)
def _judged(command: str, *, secrets_near: bool) -> tuple[tuple[str, str], ...]:
    """The objections to a command; many jobs may run the same."""
    return tuple(objections(command, secrets_near=secrets_near))


def _in_clear(text: str, file: str) -> Iterator[Finding]:
    """Findings about lines with a secret in clear, wherever it stands: in a comment, a label, a heredoc."""
    for number, line in enumerate(text.splitlines(), 1):
        if secret_in(line):
            yield Finding("policy-secret", "error", file, number, 1, reason("policy-secret"))


def _downloads(commands: list[Command]) -> Iterator[Finding]:
    """Findings about what the same job downloads and then runs."""
    for number in downloaded_and_run([command.text for command in commands]):
        command = commands[number]
        what = f"{command.text.strip()[:80]!r}: {reason('policy-download-to-shell')}"
        yield Finding("policy-download-to-shell", "error", command.file, command.line, command.column, what)


def _sections(document: Document) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every mapping of variables in the file: global, of jobs, of their rules, of a matrix."""
    for top, body in document.root.items():
        if top == "variables" and isinstance(body, dict):
            yield ("variables",), body
        elif isinstance(body, dict):
            parallel = body.get("parallel")
            rows = listed(parallel.get("matrix")) if isinstance(parallel, dict) else []
            found: list[tuple[Path, Any]] = [((top, "variables"), body.get("variables"))]
            found += [((top, "parallel", "matrix", number), row) for number, row in enumerate(rows)]
            found += [
                ((top, "rules", number, "variables"), rule.get("variables"))
                for number, rule in enumerate(listed(body.get("rules")))
                if isinstance(rule, dict)
            ]
            yield from ((path, section) for path, section in found if isinstance(section, dict))


def _variable(document: Document, path: Path, name: str, value: Any) -> Iterator[Finding]:
    text = value.get("value") if isinstance(value, dict) else value
    if name in ("CI_DEBUG_TRACE", "CI_DEBUG_SERVICES") and str(text).lower() not in OFF:
        yield at(document, path, "policy-debug-trace", f"{name}: {reason('policy-debug-trace')}")
    elif name in GITLAB - SETTABLE:
        yield at(document, path, "policy-protected-variable", f"{name}: {reason('policy-protected-variable')}")
    elif isinstance(text, str) and secret_in(text, name):
        yield at(document, path, "policy-secret", f"variable {name}: {reason('policy-secret')}")


def _steps(document: Document) -> Iterator[Path]:
    """The paths of steps (`run`) that come from elsewhere."""
    for name, job in document.root.items():
        for number, step in enumerate(listed(job.get("run")) if isinstance(job, dict) else []):
            if isinstance(step, dict) and ("step" in step or "func" in step):
                yield (name, "run", number, "step" if "step" in step else "func")


def _job(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    """Findings about a job that may fail, or, among the ten, one that waits for a person."""
    places = [(job, document.origin_of(name, "allow_failure")[:-1] or (name,))]
    written = document.origin_of(name, "rules")
    rules = enumerate(listed(job.get("rules")))
    places += [(rule, (*written, number)) for number, rule in rules if isinstance(rule, dict)]
    if name in JOBS and places[1:] and all(place.get("when") == "never" for place, _ in places[1:]):
        message = f"job {name!r}: each rule says when: never: {reason('policy-manual-job')}"
        yield at(document, written, "policy-manual-job", message)
    for place, path in places if name in JOBS else ():
        if place.get("allow_failure"):
            message = f"job {name!r}: allow_failure: {reason('policy-allow-failure')}"
            yield at(document, (*path, "allow_failure"), "policy-allow-failure", message)
        if place.get("when") == "manual" or (place is job and job.get("when") == "never"):
            message = f"job {name!r}: when: {place['when']}: {reason('policy-manual-job')}"
            yield at(document, (*path, "when"), "policy-manual-job", message)


def dockerfile_policy(text: str, registry: str | None) -> Iterator[Finding]:
    """Every finding of the house rules over the Dockerfile."""
    for use in dockerfile_images(text):
        found = _image_objection(use.reference, use.problem, registry)
        if found:
            yield Finding(found[0], "error", DOCKERFILE, use.line or 1, 1, f"{use.used_by}: {found[1]}")
    runs = list(_runs(text))
    secrets_near = bool(SECRET_USED.search(text))
    known = {**_environment(text), **assigned(one.rest for one in runs)}
    for line, _, rest in runs:
        for rule, what in _objections(rest, known, secrets_near=secrets_near):
            yield Finding(rule, "error", DOCKERFILE, line, 1, what)
    for number in downloaded_and_run([one.rest for one in runs]):
        what = f"{runs[number].rest[:80]!r}: {reason('policy-download-to-shell')}"
        yield Finding("policy-download-to-shell", "error", DOCKERFILE, runs[number].line, 1, what)
    yield from _in_clear(text, DOCKERFILE)
    for line, word, rest in instructions(text):
        if word in ("ENV", "ARG") and any(secret_in(value, name) for name, value in environment_of(rest)):
            yield Finding("policy-secret", "error", DOCKERFILE, line, 1, f"{word}: {reason('policy-secret')}")


def _runs(text: str) -> Iterator[Instruction]:
    """What a build or its image runs, with the lines of heredocs; a download by ADD as the command that it is."""
    for one in instructions(text):
        if one.word in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK", "ONBUILD", "SHELL"):
            yield one
        elif one.word == "ADD" and "://" in one.rest and "--checksum=" not in one.rest:
            *sources, target = _plain(one.rest)
            yield from (one._replace(rest=f"curl -o {target.rstrip('/')} {source}") for source in sources)
    yield from heredocs(text)


def _plain(rest: str) -> list[str]:
    """The sources and the target of an ADD, in either form, without its flags."""
    words = [word for word in rest.strip("[]").replace(",", " ").split() if not word.startswith("--")]
    return [word.strip("\"'") for word in words] or [""]


def _environment(text: str) -> dict[str, str]:
    """The variables that ENV and ARG define."""
    found = (one.rest for one in instructions(text) if one.word in ("ENV", "ARG"))
    return {name: value for rest in found for name, value in environment_of(rest)}
