"""Artifacts that a script uses although nothing hands them over.

Only names that cannot be anything else are looked at: files with an extension that one other job alone makes, used by a
script that does not make them itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shared.ci.finding import Finding, at
from shared.ci.needs import dependencies_of, listed, needs_of, order_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ci.document import Document

_FILE = re.compile(r"(?:[\w.-]+/)*[\w-][\w.-]*\.[a-z][a-z0-9]{1,7}")
# What stands before the name of a file that a command makes.
_MADE = re.compile(r"(?:>|\b(?:tee|cp|mv|touch)\b.*|-o|-O|--\w*out\w*|--\w*path|=|-[a-z]*c[a-z]*f)\s*\S*$")


def check_artifacts(document: Document) -> Iterator[Finding]:
    """One warning for each job and file that another job makes and this one is not given."""
    makers = {} if document.outside else _makers(document)
    for name, job in document.resolved.items() if makers else ():
        script = "\n".join(str(line) for key in ("before_script", "script") for line in listed(job.get(key)))
        for file, maker in makers.items():
            if maker != name and _read(script, file) and not _given(document, name, job, maker):
                why = _why(job, maker)
                message = f"job {name!r} uses {file!r}, an artifact of {maker!r}, but is not given it: {why}"
                path = document.origin_of(name, "script")
                yield at(document, path, "missing-artifact", message, severity="warning")


def _makers(document: Document) -> dict[str, str]:
    """File → the one job that has it among its artifacts' paths."""
    found: dict[str, list[str]] = {}
    for name, job in document.resolved.items():
        artifacts = job.get("artifacts")
        for path in listed(artifacts.get("paths")) if isinstance(artifacts, dict) else []:
            file = path.removeprefix("./") if isinstance(path, str) else ""
            if _FILE.fullmatch(file):
                found.setdefault(file, []).append(name)
    return {file: makers[0] for file, makers in found.items() if len(makers) == 1}


def _given(document: Document, name: str, job: dict[str, Any], maker: str) -> bool:
    """Whether GitLab hands the maker's artifacts to the job (CI/CD YAML reference: needs, dependencies)."""
    if job.get("dependencies") is not None:
        return maker in {need.job for need in dependencies_of(document, name)}
    if job.get("needs") is not None:
        return any(need.job == maker for need in needs_of(document, name)) and not _refused(job, maker)
    theirs, own = order_of(document, document.resolved[maker]), order_of(document, job)
    return theirs is None or own is None or theirs < own


def _refused(job: dict[str, Any], maker: str) -> bool:
    """Whether the job says that it does not want the maker's artifacts."""
    entries = [need for need in listed(job.get("needs")) if isinstance(need, dict) and need.get("job") == maker]
    return any(need.get("artifacts") is False for need in entries)


def _read(script: str, file: str) -> bool:
    """Whether the script names the file, and not first in a place that makes it."""
    match = re.search(rf"(?<![\w./-]){re.escape(file)}(?![\w./-])", script) if file in script else None
    return match is not None and not _MADE.search(script[: match.start()].rpartition("\n")[2])


def _why(job: dict[str, Any], maker: str) -> str:
    if job.get("dependencies") is not None:
        return f"its dependencies do not name {maker!r}"
    if job.get("needs") is not None:
        return f"its needs do not name {maker!r}, or refuse its artifacts"
    return f"{maker!r} runs no earlier"
