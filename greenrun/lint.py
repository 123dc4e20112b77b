"""`greenrun lint`: what is wrong with pipeline files and Dockerfiles, without anything running."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from shared.adapters import linters
from shared.ci import rules
from shared.ci.commands import placed, scripts_of
from shared.ci.dockerfile import check_dockerfile
from shared.ci.finding import PIPELINE, Finding, with_quote
from shared.ci.include import assembled
from shared.ci.instructions import instructions
from shared.ci.lint import check_assembled, in_order, stricter
from shared.ci.policy import dockerfile_policy, pipeline_policy
from shared.ci.scripts import for_sh
from shared.ci.stages import JOBS, STAGES, check_stages
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from shared.ci.document import Document

STDIN = "-"
# GitLab reads no pipeline file that is larger (its setting `max_yaml_size_bytes`); no Dockerfile is.
SIZE_LIMIT = 2_000_000
# A file with so many of the nine stages and of the ten jobs is meant as one of greenrun's.
MEANT = 7

_DOCKERFILE_NAME = re.compile(r"(?:.*\.)?(?:Dockerfile|Containerfile)(?:\..*)?", re.IGNORECASE)
_YAML_NAME = re.compile(r".*\.ya?ml", re.IGNORECASE)


@dataclass(frozen=True)
class Options:
    """What the command was asked for; `house` None: where a file is meant as one of greenrun's."""

    house: bool | None = None
    registry: str | None = None
    disabled: frozenset[str] = frozenset()
    tools: bool = True


@dataclass(frozen=True)
class Checked:
    """One file with its findings, and the texts (path → text) in which they are; `refused` where it cannot be read."""

    name: str
    findings: tuple[Finding, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    refused: str = ""


def lint(name: str, options: Options) -> Checked:
    """The findings about one file or standard input; the path of each is the one given, or the included file's."""
    try:
        text = read(name)
    except GreenrunError as error:
        return Checked(name, refused=str(error))
    if is_dockerfile(name, text):
        found = in_order(rules.without(_dockerfile(text, options), options.disabled))
        return Checked(name, tuple(replace(finding, file=name) for finding in found), ((name, text),))
    return _pipeline(name, text, options)


def read(name: str) -> str:
    """The text of a file or of standard input; GreenrunError says in one sentence why it cannot be read."""
    try:
        data = sys.stdin.buffer.read(SIZE_LIMIT + 1) if name == STDIN else Path(name).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise GreenrunError(f"{name} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise GreenrunError(f"{name} cannot be read: byte {error.start + 1} is not UTF-8") from error
    if len(data) > SIZE_LIMIT:
        raise GreenrunError(f"{name} cannot be read: it is larger than {SIZE_LIMIT} bytes")
    return text.replace("\r\n", "\n")


def is_dockerfile(name: str, text: str) -> bool:
    """Whether a file is a Dockerfile: by its name, else by its first instruction."""
    base = "" if name == STDIN else Path(name).name
    if _DOCKERFILE_NAME.fullmatch(base) or _YAML_NAME.fullmatch(base):
        return not _YAML_NAME.fullmatch(base)
    first = next(iter(instructions(text)), None)
    return first is not None and first.word in ("FROM", "ARG") and not first.rest.startswith(":")


def is_ours(document: Document) -> bool:
    """Whether a pipeline is meant as one of greenrun's: it has most of the nine stages and of the ten jobs."""
    return len(set(document.stages) & set(STAGES)) >= MEANT and len(document.jobs.keys() & set(JOBS)) >= MEANT


def _dockerfile(text: str, options: Options) -> Iterator[Finding]:
    yield from check_dockerfile(text)
    if options.house:
        yield from dockerfile_policy(text, options.registry)
    if options.tools:
        yield from linters.hadolint(text)


def _pipeline(name: str, text: str, options: Options) -> Checked:
    folder = Path(name).parent if name != STDIN else Path()
    root = (folder / ".git").exists()
    pipeline = assembled(text, name, lambda path: local(folder, path), certain=root, limit=SIZE_LIMIT)
    document = pipeline.document
    found = check_assembled(pipeline)
    if document.readable and (is_ours(document) if options.house is None else options.house):
        registry = options.registry or document.variables.get("REGISTRY")
        house = [*check_stages(document), *pipeline_policy(document, registry)]
        found = stricter(found) + [replace(one, file=name) if one.file == PIPELINE else one for one in house]
    if options.tools:
        for path, part in pipeline.parts:
            found += [replace(finding, file=path) for finding in _shellchecked(part)]
    texts = tuple((path, part.text) for path, part in pipeline.parts)
    return Checked(name, in_order(rules.without(found, options.disabled)), texts)


def local(folder: Path, path: str) -> tuple[tuple[str, str], ...]:
    """Path and text of the files of an `include: local`, which GitLab reads from the root of the repository."""
    wanted = path.lstrip("/")
    try:
        names = sorted(folder.glob(wanted)) if "*" in wanted else [folder / wanted]
        inside = [one for one in names if one.is_file() and one.resolve().is_relative_to(folder.resolve())]
        return tuple((str(one), read(str(one))) for one in inside)
    except (GreenrunError, OSError, ValueError):
        return ()


def _shellchecked(document: Document) -> Iterator[Finding]:
    """What shellcheck warns of in the scripts, at their places in the file."""
    for script in scripts_of(document) if linters.program("shellcheck") else ():
        text = for_sh(document, script)
        for finding in linters.shellcheck(text) if text else ():
            line, column = placed(document, script, finding.line - 1)
            yield replace(finding, line=line, column=column)


def as_json(checked: Sequence[Checked]) -> str:
    """One JSON array of all findings, each on a line of its own."""
    rows = [json.dumps(asdict(finding), ensure_ascii=False) for one in checked for finding in one.findings]
    return "[\n" + ",\n".join(f"  {row}" for row in rows) + "\n]" if rows else "[]"


def show(checked: Sequence[Checked], console: Console) -> None:
    """The findings for people: as compilers print them, with the line and the fix, and how many there are."""
    for one in checked:
        texts = dict(one.texts)
        for finding in one.findings:
            colour = "red" if finding.severity == "error" else "yellow"
            first, _, quoted = with_quote(finding, texts.get(finding.file, "")).partition("\n")
            console.print(f"[{colour}]{escape(first)}[/]", soft_wrap=True, highlight=False)
            if quoted:
                console.print(escape(quoted), soft_wrap=True, highlight=False)
            if finding.fix:
                console.print(f"    [green]fix:[/] {escape(finding.fix)}", soft_wrap=True, highlight=False)
    found = [finding for one in checked for finding in one.findings]
    wrong = sum(finding.severity == "error" for finding in found)
    files = sum(not one.refused for one in checked)
    told = [f"{wrong} error{'s' * (wrong != 1)}", f"{len(found) - wrong} warning{'s' * (len(found) - wrong != 1)}"]
    console.print(f"{files} file{'s' * (files != 1)}: {', '.join(told)}", highlight=False)


def rules_text() -> str:
    """The table of all rules, one a line: id, severity, group, reason."""
    width = max(len(rule) for rule in rules.RULES)
    return "\n".join(f"{r.id:{width}}  {r.severity:7}  {r.group:10}  {r.reason}" for r in rules.RULES.values())


def rules_json() -> str:
    """The table of all rules as one JSON array."""
    return json.dumps([rule._asdict() for rule in rules.RULES.values()], indent=2)
