"""The labelled repositories, and how right the analyzer is about them."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.analyzer import decide, detect
from shared.ports import Snapshot, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.events import Analysis

REPOSITORIES = Path(__file__).parent / "data" / "repositories.jsonl.gz"


@dataclass(frozen=True)
class Score:
    """How many of the rows that have the label are right, and the others: row, label, answer."""

    right: int
    of: int
    wrong: tuple[tuple[str, Any, Any], ...]

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.right / self.of


def rows(path: Path = REPOSITORIES) -> list[dict[str, Any]]:
    """The labelled repositories."""
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def snapshot(row: dict[str, Any]) -> Snapshot:
    """The repository as the analyzer reads it; a file that has only a size is of blank lines."""
    tree = tuple(TreeEntry(path, _size(text)) for path, text in row["files"].items())
    contents = {path: _bytes(text) for path, text in row["files"].items() if detect.is_manifest(path)}
    return Snapshot("0" * 40, tree, contents)


def analysis(row: dict[str, Any]) -> Analysis:
    """What the analyzer says of it."""
    return decide.analyze(snapshot(row))


def scores(found: Iterable[tuple[dict[str, Any], Analysis]]) -> dict[str, Score]:
    """Field → score. `framework` counts rows that have one, `no framework` those that have none."""
    judged: dict[str, list[tuple[bool, str, Any, Any]]] = {}
    for row, said in found:
        for field, ok, label, answer in _judged(row, said):
            judged.setdefault(field, []).append((ok, f"{row['corpus']}/{row['path']}", label, answer))
    return {
        field: Score(
            sum(ok for ok, *_ in all_rows), len(all_rows), tuple((n, a, b) for ok, n, a, b in all_rows if not ok)
        )
        for field, all_rows in judged.items()
    }


def _judged(row: dict[str, Any], said: Analysis) -> Iterable[tuple[str, bool, Any, Any]]:
    language = None if said.language == "unknown" else said.language
    yield "language", language in {row["language"], *row["language_alt"]}, row["language"], said.language
    if row["framework_checked"]:
        accepted = {_plain(name) for name in (row["framework"], *row["framework_alt"])}
        right = _plain(said.framework) in accepted
        yield ("framework" if row["framework"] else "no framework"), right, row["framework"], said.framework
    if row["version_checked"] and row["version"]:
        labels = [_version(label) for label in (row["version"], *row["version_alt"]) if label]
        yield "version", any(_same(label, _version(said.version)) for label in labels), row["version"], said.version
    if row["package_manager"]:
        accepted = {row["package_manager"], *row["package_manager_alt"]}
        yield "package manager", said.package_manager in accepted, row["package_manager"], said.package_manager


def _plain(name: str | None) -> str | None:
    return re.sub(r"[^a-z0-9]", "", name.lower()) if name else None


def _version(text: str | None) -> str:
    return re.sub(r"^(?:v|python-|ruby-|net|netcoreapp)", "", (text or "").strip().lower())


def _same(label: str, answer: str) -> bool:
    """Whether one is the other, or the line that the other is of."""
    lines = label[:1].isdigit() and (answer.startswith(f"{label}.") or label.startswith(f"{answer}."))
    return bool(answer) and (label == answer or lines)


def _size(text: str | int) -> int:
    return text if isinstance(text, int) else len(text.encode())


def _bytes(text: str | int) -> bytes:
    return b"\n" * text if isinstance(text, int) else text.encode()
