"""The house rules, as a table: what no pipeline may do, whoever wrote it (design, section 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.ci import variables
from shared.ci.commands import Command, commands_of
from shared.ci.dockerfile import instructions
from shared.ci.dockerfile_images import dockerfile_images
from shared.ci.finding import DOCKERFILE, Finding, at
from shared.ci.image_use import checked
from shared.ci.private_names import is_private
from shared.ci.secrets import prints_secret, secret_in
from shared.ci.stages import JOBS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.ci.document import Document, Path
    from shared.events import Files

# Rule id → why it is a rule.
REASONS: dict[str, str] = {
    "policy-image-registry": "jobs run without the internet: every image comes from the private registry",
    "policy-image-unresolved": "an image that is not known before the pipeline runs cannot be seeded",
    "policy-privileged": "a privileged container owns the machine that runs it",
    "policy-prints-environment": "the environment holds the tokens, and a job's log is read by many",
    "policy-debug-trace": "debug traces print every variable into the job's log",
    "policy-download-to-shell": "what is downloaded at run time was checked by nobody",
    "policy-secret": "a secret in a file is a secret for everyone who can read the repository",
    "policy-allow-failure": "the gate demands success of every job; one that may fail says nothing",
    "policy-manual-job": "a job that waits for a person, or never runs, keeps the gate shut",
    "policy-include": "what another file brings in was not checked",
}

_DOWNLOAD = r"(?:curl|wget|fetch)\b"
_SHELL = r"(?:[\w./-]{0,60}/)?(?:sh|bash|zsh|dash|ash|ksh|python[\d.]*|perl|ruby|node)\b"


@dataclass(frozen=True)
class CommandRule:
    """A pattern that no shell command may match."""

    rule: str
    pattern: re.Pattern[str]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_START = r"(?:^|[;&|(`]|\bdo\b|\bthen\b|\bsudo\b)\s*(?:/usr)?(?:/bin/)?"
COMMAND_RULES: tuple[CommandRule, ...] = (
    CommandRule(
        "policy-download-to-shell",
        _pattern(rf"{_DOWNLOAD}[^;\n]{{0,1000}}\|\s*(?:sudo\s+)?(?:-\S+\s+)*{_SHELL}"),
    ),
    CommandRule(
        "policy-download-to-shell", _pattern(rf"(?:{_SHELL}|\bsource|(?:^|\s)\.)\s+(?:-\S+\s+)*<\(\s*{_DOWNLOAD}")
    ),
    CommandRule("policy-download-to-shell", _pattern(rf"(?:\beval|{_SHELL}\s+-\w*c)\s+[\"']?(?:\$\(|`)\s*{_DOWNLOAD}")),
    CommandRule("policy-prints-environment", _pattern(rf"{_START}printenv\b")),
    CommandRule("policy-prints-environment", _pattern(rf"{_START}env\s*(?:$|[;&|>)`])")),
    CommandRule("policy-prints-environment", _pattern(rf"{_START}(?:set|export)\s*(?:$|[;&|>)])")),
    CommandRule("policy-prints-environment", _pattern(rf"{_START}(?:export\s+-p|declare\s+-[px]|typeset\s+-[px])")),
    CommandRule("policy-prints-environment", _pattern(r"/proc/(?:self|\$\$|\d+)/environ")),
    CommandRule(
        "policy-prints-environment",
        _pattern(r"print\w{0,10}\s{0,10}\(\s*(?:dict\()?os\.environ\s*\)|console\.log\(process\.env\)"),
    ),
    CommandRule("policy-privileged", _pattern(r"\s--privileged\b|--security[-_=]insecure\b")),
)
_XTRACE = _pattern(rf"{_START}set\s+(?:-\w*x|-o\s+xtrace)|\b(?:ba)?sh\s+-\w*x\b")
_SECRET_USED = re.compile(r"\$\{?\w*(?:TOKEN|PASSWORD|SECRET|_KEY)")
_PRIVILEGED_IMAGE = re.compile(r"(?:^|/)docker:[\w.-]*dind|[:-]dind\b")


def check_policy(document: Document, files: Files, registry: str) -> Iterator[Finding]:
    """Every finding of the house rules over both files."""
    yield from _images(document, registry)
    yield from _commands(document)
    yield from _variables(document)
    for name, job in document.resolved.items():
        yield from _job(document, name, job)
    if "include" in document.root:
        yield at(document, ("include",), "policy-include", f"include: {REASONS['policy-include']}")
    yield from _dockerfile(files.dockerfile, registry)


def _images(document: Document, registry: str) -> Iterator[Finding]:
    """Findings about each image of each job; one for each place in the file, however many jobs take it from there."""
    said: set[tuple[Path, str]] = set()
    for name, job in document.resolved.items():
        known = variables.of_job(_texts(job), document.variables)[:1]
        for key in ("image", "services"):
            for path, image in _named(job.get(key), document.origin_of(name, key)):
                reference, problem = variables.expand(image, known[0] if known else document.variables)
                found = _image_objection(reference, problem, registry)
                if found and (path, reference) not in said:
                    said.add((path, reference))
                    yield at(document, path, found[0], f"job {name!r}: {found[1]}")


def _image_objection(reference: str, problem: str, registry: str) -> tuple[str, str] | None:
    """Rule and sentence about one image, or None."""
    if _PRIVILEGED_IMAGE.search(reference):
        return "policy-privileged", f"image {reference!r} needs a privileged container: {REASONS['policy-privileged']}"
    problem = problem or checked(reference, "", None).problem
    if problem:
        return "policy-image-unresolved", f"image {reference!r}: {problem}"
    if not is_private(reference, registry):
        return (
            "policy-image-registry",
            f"image {reference!r} is not from {registry}: {REASONS['policy-image-registry']}",
        )
    return None


def _named(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """The image names in an `image` or `services` value, each with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict) and isinstance(value.get("name"), str):
        yield (*path, "name"), value["name"]
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _named(item, (*path, number))


def _texts(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job with its own variables as text, as expansion wants them."""
    own = job.get("variables")
    pairs = own.items() if isinstance(own, dict) else ()
    return {**job, "variables": {name: str(value) for name, value in pairs if isinstance(value, str | int | float)}}


def _commands(document: Document) -> Iterator[Finding]:
    commands = list(commands_of(document))
    tops = {c.path[0] for c in commands if _SECRET_USED.search(c.text)}
    for command in commands:
        for rule, what in _objections(command, secrets_near=command.path[0] in tops):
            yield Finding(rule, "error", command.file, command.line, command.column, what)


def _objections(command: Command, *, secrets_near: bool) -> Iterator[tuple[str, str]]:
    """Rule and sentence for what is wrong with one command; each rule once."""
    shown = command.text.strip()[:80]
    hits = [row.rule for row in COMMAND_RULES if row.pattern.search(command.text)]
    if prints_secret(command.text) or (secrets_near and _XTRACE.search(command.text)):
        hits.append("policy-prints-environment")
    if secret_in(command.text):
        hits, shown = [*hits, "policy-secret"], f"{shown[:12]}…"
    for rule in dict.fromkeys(hits):
        yield rule, f"{shown!r}: {REASONS[rule]}"


def _variables(document: Document) -> Iterator[Finding]:
    """Findings about the values of variables, global and of each job."""
    sections: list[tuple[Path, Any]] = [(("variables",), document.root.get("variables"))]
    sections += [
        ((name, "variables"), job.get("variables")) for name, job in document.root.items() if isinstance(job, dict)
    ]
    for path, section in sections:
        for name, value in section.items() if isinstance(section, dict) else ():
            text = value.get("value") if isinstance(value, dict) else value
            if name in ("CI_DEBUG_TRACE", "CI_DEBUG_SERVICES") and str(text).lower() in ("true", "1"):
                yield at(document, (*path, name), "policy-debug-trace", f"{name}: {REASONS['policy-debug-trace']}")
            elif isinstance(text, str) and secret_in(text, name):
                yield at(document, (*path, name), "policy-secret", f"variable {name}: {REASONS['policy-secret']}")


def _job(document: Document, name: str, job: dict[str, Any]) -> Iterator[Finding]:
    """Findings about a job that may fail, or, among the ten, one that waits for a person."""
    rules = job.get("rules") if isinstance(job.get("rules"), list) else []
    places = [(job, document.origin_of(name, "allow_failure")[:-1] or (name,))]
    written = document.origin_of(name, "rules")
    places += [(rule, (*written, number)) for number, rule in enumerate(rules or []) if isinstance(rule, dict)]
    for place, path in places if name in JOBS else ():
        if place.get("allow_failure"):
            message = f"job {name!r}: allow_failure: {REASONS['policy-allow-failure']}"
            yield at(document, (*path, "allow_failure"), "policy-allow-failure", message)
        if place.get("when") == "manual" or (place is job and job.get("when") == "never"):
            message = f"job {name!r}: when: {place['when']}: {REASONS['policy-manual-job']}"
            yield at(document, (*path, "when"), "policy-manual-job", message)


def _dockerfile(text: str, registry: str) -> Iterator[Finding]:
    for use in dockerfile_images(text):
        found = _image_objection(use.reference, use.problem, registry)
        if found:
            yield Finding(found[0], "error", DOCKERFILE, use.line or 1, 1, f"{use.used_by}: {found[1]}")
    secrets_near = bool(_SECRET_USED.search(text))
    for line, word, rest in instructions(text):
        command = Command(rest, DOCKERFILE, line, 1, (word,))
        if word in ("RUN", "CMD", "ENTRYPOINT"):
            for rule, what in _objections(command, secrets_near=secrets_near):
                yield Finding(rule, "error", DOCKERFILE, line, 1, what)
        elif word in ("ENV", "ARG") and secret_in(rest.partition("=")[2].strip("\"'"), rest.partition("=")[0]):
            yield Finding("policy-secret", "error", DOCKERFILE, line, 1, f"{word}: {REASONS['policy-secret']}")
