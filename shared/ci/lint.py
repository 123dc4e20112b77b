"""The checker: everything that can be known to be wrong with the two files before they are committed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.ci.artifacts import check_artifacts
from shared.ci.dockerfile import check_dockerfile
from shared.ci.document import Document, parse
from shared.ci.finding import DOCKERFILE, PIPELINE, Finding
from shared.ci.image_names import check_image_names
from shared.ci.policy import check_policy
from shared.ci.rules import without
from shared.ci.schema import check_schema
from shared.ci.scripts import check_scripts
from shared.ci.secrets import masked
from shared.ci.semantics import check_semantics
from shared.ci.stages import check_stages
from shared.ci.undefined import check_variables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ci.include import Assembled
    from shared.events import Analysis, Files

__all__ = ["Finding", "check", "check_assembled", "check_document", "check_gitlab", "errors", "in_order", "stricter"]

# Warnings for everybody, errors in what greenrun commits.
STRICT = frozenset({"no-artifacts", "missing-artifact"})
# A file with more is wrong as a whole; the first ones say why.
FINDINGS_LIMIT = 200


def check(
    files: Files, *, registry: str, analysis: Analysis | None = None, disabled: frozenset[str] = frozenset()
) -> tuple[Finding, ...]:
    """All findings in the order of the files and lines; `registry` is the private one (host:port).

    With the analysis of the repository also what contradicts it. `disabled` are rules of the policy that do not count
    (`shared.ci.rules.switched_off`). Never raises, whatever the text is. Empty where nothing is wrong.
    """
    document = parse(files.pipeline)
    found = [
        *stricter(check_document(document)),
        *check_policy(document, files, registry),
        *check_dockerfile(files.dockerfile, analysis),
    ]
    return in_order(without(found, disabled))


def check_document(document: Document) -> list[Finding]:
    """The findings about the pipeline file alone, without the policy: GitLab's rules, the nine stages, the ten jobs."""
    return [*check_gitlab(document), *(check_stages(document) if document.readable else ())]


def check_gitlab(document: Document) -> list[Finding]:
    """What GitLab would refuse, or take otherwise than it was meant; true of every pipeline, whoever wrote it."""
    return [*check_text(document), *check_whole(document)]


def check_text(document: Document, others: str = "") -> list[Finding]:
    """The findings about one file by itself; `others` is the text of the files that belong to it."""
    found = [
        Finding(problem.rule, problem.severity, PIPELINE, *(problem.position or (1, 1)), problem.message)
        for problem in document.problems
    ]
    if document.readable:
        found += [*check_schema(document), *check_scripts(document), *check_variables(document, others)]
    return found


def check_whole(document: Document) -> list[Finding]:
    """The findings about the pipeline of all its files together."""
    if not document.readable:
        return []
    return [*check_semantics(document), *check_image_names(document), *check_artifacts(document)]


def check_assembled(pipeline: Assembled) -> list[Finding]:
    """`check_gitlab` over a pipeline and the files that it includes; each finding names its file."""
    texts = "\n".join(part.text for _, part in pipeline.parts)
    main = pipeline.parts[0][0]
    found = [replace(f, file=main) if f.file == PIPELINE else f for f in check_whole(pipeline.document)]
    for path, part in pipeline.parts:
        found += [replace(finding, file=path) for finding in check_text(part, texts)]
    return [*found, *pipeline.findings]


def stricter(findings: Iterable[Finding]) -> list[Finding]:
    """The findings as the house takes them: GitLab runs a job without its artifacts, greenrun commits none such."""
    return [replace(finding, severity="error") if finding.rule in STRICT else finding for finding in findings]


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that forbid a commit."""
    return tuple(finding for finding in findings if finding.severity == "error")


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings without repetitions and without secrets, by file and line; the first two hundred."""
    safe = {replace(finding, message=masked(finding.message)) for finding in findings}
    ordered = sorted(safe, key=lambda f: (f.file == DOCKERFILE, f.file, f.line, f.column, f.rule, f.message))
    return tuple(ordered[:FINDINGS_LIMIT])
