"""`greenrun analyze`: what a repository is, without anything running."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.analyzer import decide, detect, excerpts
from services.analyzer.settings import Settings
from shared.adapters.folder import FolderSource
from shared.adapters.git import SCP_LIKE, GitSource
from shared.adapters.git_objects import Objects
from shared.errors import GreenrunError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.events import Analysis, Evidence
    from shared.ports import Snapshot

AT_ONCE = 4
LISTED = 8


@dataclass(frozen=True)
class Result:
    """One source with its analysis, or why there is none; `ms` is the time without the clone, in milliseconds.

    `shown` is what a model may be shown of it: path → text, the most telling first.
    """

    source: str
    analysis: Analysis | None = None
    ms: float = 0.0
    error: str = ""
    shown: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The result as JSON has it."""
        if self.analysis is None:
            return {"source": self.source, "error": self.error}
        return {"source": self.source, **self.analysis.model_dump(mode="json"), "ms": round(self.ms, 3)}


async def print_all(sources: list[str], ref: str | None, subfolder: str, *, as_json: bool) -> bool:
    """Print every result in the order of the sources; whether one of them failed."""
    console, settings, turn = Console(), Settings(), asyncio.Semaphore(AT_ONCE)
    tasks = [asyncio.create_task(examine(source, ref, subfolder, settings, turn)) for source in sources]
    failed = False
    for task in tasks:
        result = await task
        failed |= result.analysis is None
        if as_json:
            print(json.dumps(result.document(), ensure_ascii=False), flush=True)  # noqa: T201 - the output
        else:
            console.print(card(result))
    return failed


async def examine(source: str, ref: str | None, subfolder: str, settings: Settings, turn: asyncio.Semaphore) -> Result:
    """The result of one source; the time is that of reading a folder and of the analysis."""
    async with turn:
        try:
            began = time.perf_counter()
            snapshot = await _snapshot(source, ref, settings)
            began = began if Path(source).exists() else time.perf_counter()
            analysis = _analysis(snapshot, subfolder)
            ms = (time.perf_counter() - began) * 1000
            return Result(source, analysis, ms, shown=excerpts.excerpts(snapshot, analysis))
        except GreenrunError as error:
            return Result(source, error=str(error))


async def analysis_of(source: str) -> Analysis:
    """What one source is; GreenrunError where it cannot be read."""
    settings = Settings()
    return _analysis(await _snapshot(source, None, settings), "")


async def _snapshot(source: str, ref: str | None, settings: Settings) -> Snapshot:
    """A bare repository is read from its objects, another folder as it is; all else is the address of a repository."""
    folder = Path(source)
    if (folder / "HEAD").is_file() and (folder / "objects").is_dir():
        objects = await asyncio.to_thread(Objects.local, folder, ref or "HEAD", settings)
        return await asyncio.to_thread(objects.snapshot, excerpts.is_read, settings)
    if folder.exists():
        if ref:
            raise GreenrunError(f"{source} is read as it is; --ref is for addresses and bare repositories")
        return FolderSource(settings, excerpts.is_read, detect.languages.is_vendored).read(folder)
    if "://" not in source and not SCP_LIKE.fullmatch(source):
        raise GreenrunError(f"{source} is neither a folder nor the address of a repository")
    return await GitSource(settings, settings, excerpts.is_read, detect.is_source).read(source, ref)


def _analysis(snapshot: Snapshot, subfolder: str) -> Analysis:
    if subfolder and not any(entry.path.startswith(f"{subfolder.strip('/')}/") for entry in snapshot.tree):
        raise GreenrunError(f"there is no folder {subfolder}")
    return decide.analyze(snapshot, subfolder)


def card(result: Result) -> Panel:
    """One result for people: what was found, and where each thing stands."""
    if result.analysis is None:
        return Panel(Text(result.error, style="red"), title=Text(result.source), box=box.ROUNDED, border_style="red")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right", min_width=12)
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")
    evidence = {one.about: one for one in reversed(result.analysis.evidence)}
    for name, value, about in _rows(result.analysis):
        if value:
            table.add_row(name, Text(value), _where(evidence.get(about)))
    return Panel(table, title=Text(result.source), subtitle=f"{result.ms:.1f} ms", box=box.ROUNDED, border_style="cyan")


def _rows(found: Analysis) -> Iterable[tuple[str, str, str]]:
    """Name, value, and the field whose evidence belongs beside it."""
    total = sum(found.languages.values()) or 1
    shares = [f"{name} {100 * size / total:.0f} %" for name, size in found.languages.items()]
    release = f" → {found.release}" if found.release and found.release != found.version else ""
    yield "language", found.language, "language"
    yield "framework", found.framework or "", "framework"
    yield "version", f"{found.version}{release}" if found.version else "", "version"
    yield "packages by", found.package_manager or "", "package_manager"
    yield "folder", found.root, ""
    for name, command in found.commands.model_dump(exclude_none=True).items():
        yield name, command, ""
    yield "entry point", found.entry_point or "", ""
    yield "tests by", found.test_runner or "", ""
    yield "ports", ", ".join(map(str, found.ports)), ""
    yield "services", ", ".join(found.services), ""
    yield "system", ", ".join(found.system_packages), ""
    yield "licence", found.licence or "", ""
    yield "has already", ", ".join(found.existing), ""
    yield "bytes", ", ".join(shares[:LISTED]), ""
    for project in found.projects[:LISTED]:
        yield "project", " · ".join(filter(None, [project.root, project.language, project.framework])), ""
    if len(found.projects) > LISTED:
        yield "project", f"and {len(found.projects) - LISTED} more", ""
    for doubt in found.doubts:
        yield "doubt", doubt, ""
    yield "sure", f"{100 * found.confidence:.0f} %", ""


def _where(evidence: Evidence | None) -> Text:
    if evidence is None:
        return Text("")
    line = f":{evidence.line}" if evidence.line else ""
    return Text(f"{evidence.source}{line}" if evidence.source else evidence.text)
