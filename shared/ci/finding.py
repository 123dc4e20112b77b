"""What a check says about a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from shared.ci.document import Document, Path

PIPELINE = ".gitlab-ci.yml"
DOCKERFILE = "Dockerfile"

Severity = Literal["error", "warning"]


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
    return Finding(rule, severity, PIPELINE, line, column, message, fix)
