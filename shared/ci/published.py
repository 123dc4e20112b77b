"""Secrets in what GitLab shows or keeps: names, addresses, descriptions, and the files of artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.ci.finding import Finding, at
from shared.ci.forbidden import SECRET_USED, SHOWN
from shared.ci.rules import reason
from shared.ci.secrets import in_artifact, secret_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.ci.commands import Command
    from shared.ci.document import Document, Path

RULE = "policy-sends-secret"
# Keys of a job whose values everybody who sees the project can see.
SHOWN_KEYS = ("environment", "release", "artifacts", "cache", "resource_group", "tags", "pages")


def check_published(
    document: Document, name: str, job: dict[str, Any], commands: Sequence[Command]
) -> Iterator[Finding]:
    """Findings about a job's values with a secret's variable, and about commands that put one into its artifacts."""
    for key in SHOWN_KEYS:
        for path, text in _texts(job.get(key), document.origin_of(name, key)):
            if SECRET_USED.search(text):
                message = f"job {name!r}: {'.'.join(map(str, path[1:]))}: {reason(RULE)}"
                yield at(document, path, RULE, message)
    kept = _kept(job.get("artifacts"))
    for command in commands if kept else ():
        if any(in_artifact(file, kept) for file in secret_files(command.text)):
            what = f"{command.text.strip()[:SHOWN]!r}: {reason(RULE)}"
            yield Finding(RULE, "error", command.file, command.line, command.column, what)


def _kept(artifacts: Any) -> list[str]:
    """The paths of a job's artifacts and reports."""
    sections = [artifacts.get("paths"), artifacts.get("reports")] if isinstance(artifacts, dict) else []
    return [text for section in sections for _, text in _texts(section, ())]


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text within a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(item, (*path, key))
