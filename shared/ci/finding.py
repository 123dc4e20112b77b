"""What a check says about a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared.ci.secrets import masked

if TYPE_CHECKING:
    from shared.ci.document import Document, Path
    from shared.events import Files

PIPELINE = ".gitlab-ci.yml"
DOCKERFILE = "Dockerfile"

Severity = Literal["error", "warning"]
# Of a line that is quoted beside its finding, at most so many characters are shown.
QUOTE_LENGTH = 160


@dataclass(frozen=True)
class Finding:
    """One statement: `rule` is its stable id, line and column count from 1, `fix` is the text to write there."""

    rule: str
    severity: Severity
    file: str
    line: int
    column: int
    message: str
    fix: str | None = None

    def __str__(self) -> str:
        """One line, as compilers print it."""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.rule}]"


def at(
    document: Document, path: Path, rule: str, message: str, *, fix: str | None = None, severity: Severity = "error"
) -> Finding:
    """A finding at a path of the pipeline file."""
    line, column = document.position_of(path)
    return Finding(rule, severity, document.file_of(path, PIPELINE), line, column, message, fix)


def with_line(finding: Finding, files: Files) -> str:
    """The finding and, where the file has it, the line that it is about, as a person or a model wants to read it."""
    return with_quote(finding, files.by_path().get(finding.file, ""))


def with_quote(finding: Finding, text: str) -> str:
    """The finding and its line of this text, cut where long; the finding alone where it is empty, or has a secret."""
    if finding.rule == "policy-secret":
        return str(finding)
    lines = text.splitlines()
    line = masked(lines[finding.line - 1].strip()) if 0 < finding.line <= len(lines) else ""
    cut = line if len(line) <= QUOTE_LENGTH else f"{line[:QUOTE_LENGTH]}…"
    return f"{finding}\n    {cut}" if cut else str(finding)
