"""The checker: everything that can be known to be wrong with the two files before they are committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ci.dockerfile import check_dockerfile
from shared.ci.document import Document, parse
from shared.ci.finding import PIPELINE, Finding
from shared.ci.policy import check_policy
from shared.ci.schema import check_schema
from shared.ci.semantics import check_semantics
from shared.ci.stages import check_stages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.events import Files

__all__ = ["Finding", "check", "check_document", "errors"]

# A file with more is wrong as a whole; the first ones say why.
FINDINGS_LIMIT = 200


def check(files: Files, *, registry: str) -> tuple[Finding, ...]:
    """All findings in the order of the files and lines; `registry` is the private one (host:port).

    Never raises, whatever the text is. Empty where nothing is wrong.
    """
    document = parse(files.pipeline)
    found = {*check_document(document), *check_policy(document, files, registry), *check_dockerfile(files.dockerfile)}
    ordered = sorted(found, key=lambda f: (f.file == "Dockerfile", f.line, f.column, f.rule, f.message))
    return tuple(ordered[:FINDINGS_LIMIT])


def check_document(document: Document) -> list[Finding]:
    """The findings about the pipeline file alone, without the house rules about images and commands."""
    found = [
        Finding(problem.rule, "error", PIPELINE, *(problem.position or (1, 1)), problem.message)
        for problem in document.problems
    ]
    if document.readable:
        found += [*check_schema(document), *check_semantics(document), *check_stages(document)]
    return found


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that forbid a commit."""
    return tuple(finding for finding in findings if finding.severity == "error")
