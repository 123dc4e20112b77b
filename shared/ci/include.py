"""A pipeline with the local files that it includes, as far as they can be read.

Rules: GitLab's CI/CD YAML reference, `include`; files are merged in their order, and the including one comes last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.ci.document import Document, parse
from shared.ci.finding import Finding, Severity, at
from shared.ci.resolve import deep_merge

if TYPE_CHECKING:
    from shared.ci.document import Path

# GitLab's own limit of included files.
FILES_LIMIT = 150
# A path as the file writes it (wildcards too) → path and text of each file that it means.
Reader = Callable[[str], tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Assembled:
    """The pipeline of all its files, each file by itself, and what is wrong with the includes.

    `parts` begins with the file itself; of all the others the path is the reader's.
    """

    document: Document
    parts: tuple[tuple[str, Document], ...]
    findings: tuple[Finding, ...] = ()


def assembled(text: str, path: str, read: Reader, *, certain: bool, limit: int) -> Assembled:
    """The pipeline of this text and of the local files that it includes; `limit` in characters for each.

    A file that is missing is an error where `certain` (what can be read is the whole repository), or where another
    of the included files was found; else a warning. What is included from elsewhere, or on a condition, is left open.
    """
    main = parse(text, limit)
    work = _Work(read, limit, certain)
    merged = work.merge(main, path)
    parts = [(name, part) for name, part in work.parts.items() if name != path]
    if parts:
        main = dataclasses.replace(main, fragment=True)
    return Assembled(merged, ((path, main), *parts), tuple(work.findings()))


@dataclass
class _Work:
    """What is known on the way through the files."""

    read: Reader
    limit: int
    certain: bool
    parts: dict[str, Document] = field(default_factory=dict)
    missing: list[tuple[str, Document, Path, str]] = field(default_factory=list)

    def merge(self, document: Document, name: str) -> Document:
        """The document with what it includes under it; entries that stay open stay under `include`."""
        self.parts[name] = document
        root: dict[str, Any] = {}
        positions: dict[Path, tuple[int, int]] = {}
        origins: dict[Path, str] = {}
        left = []
        for entry, path in _entries(document.root.get("include")):
            found = self._read(entry, document, path, name)
            if found is None:
                left.append(entry)
            for part_name, part_text in found or ():
                if part_name in self.parts:
                    continue
                part = parse(part_text, self.limit)
                merged = self.merge(dataclasses.replace(part, fragment=True), part_name)
                left += [{"header": part_name}] if part.header else [e for e, _ in _entries(merged.root.get("include"))]
                root = deep_merge(root, {key: value for key, value in merged.root.items() if key != "include"})
                positions |= merged.positions
                origins |= {**dict.fromkeys(part.positions, part_name), **merged.origins}
        own = {key: value for key, value in document.root.items() if key != "include"}
        root = deep_merge(root, own) | ({"include": left} if left else {})
        origins = {path: file for path, file in origins.items() if path not in document.positions}
        return dataclasses.replace(
            document, root=root, positions={**positions, **document.positions}, origins=origins, fragment=False
        )

    def findings(self) -> list[Finding]:
        """What is wrong with the includes, at their places."""
        severity: Severity = "error" if self.certain or len(self.parts) > 1 else "warning"
        return [
            dataclasses.replace(at(document, path, "include-missing", message, severity=severity), file=name)
            for name, document, path, message in self.missing
        ]

    def _read(self, entry: Any, document: Document, path: Path, name: str) -> tuple[tuple[str, str], ...] | None:
        """The files of one entry; None where they are not here, or nobody knows whether they count."""
        local = entry if isinstance(entry, str) else entry.get("local") if isinstance(entry, dict) else None
        plain = isinstance(local, str) and "://" not in local and "$" not in local
        if not plain or not isinstance(local, str) or (isinstance(entry, dict) and "rules" in entry):
            return None
        found = self.read(local) if len(self.parts) < FILES_LIMIT else ()
        if not found and "*" not in local:
            self.missing.append((name, document, path, f"include: there is no file {local!r}"))
        return found or None


def _entries(value: Any) -> list[tuple[Any, Path]]:
    if isinstance(value, list):
        return [(entry, ("include", number)) for number, entry in enumerate(value)]
    return [] if value is None else [(value, ("include",))]
