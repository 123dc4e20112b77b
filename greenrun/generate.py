"""`greenrun generate`: the two files of a repository, without anything running."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from greenrun.analyze import AT_ONCE, Result, examine
from greenrun.exits import WrongCall
from services.analyzer.settings import Settings as AnalyzerSettings
from services.generator import service as generator
from shared.errors import GreenrunError
from shared.events import FilesGenerated, RunFailed, Submission, TemplateResolved, new_run_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from services.generator.settings import Settings
    from shared.events import Files

LINE = 400
LEXERS = {".gitlab-ci.yml": "yaml", "Dockerfile": "docker"}


@dataclass(frozen=True)
class Options:
    """What the command was asked for."""

    ref: str | None
    subfolder: str
    out: Path | None
    as_json: bool


async def print_all(sources: list[str], options: Options, settings: Settings) -> bool:
    """Print or write the files of every source in their order; whether one of them has none."""
    console, turn, failed = Console(), asyncio.Semaphore(AT_ONCE), False
    analyzing = AnalyzerSettings()
    async with generator.connect(settings, None) as deps:
        for source in sources:
            result = await examine(source, options.ref, options.subfolder, analyzing, turn)
            answer = await _files(result, deps)
            failed |= not isinstance(answer, FilesGenerated)
            target = _target(source, sources, options.out)
            if isinstance(answer, FilesGenerated) and target:
                write(answer.proposal.files, target)
            if options.as_json:
                print(json.dumps(document(source, result, answer, target), ensure_ascii=False), flush=True)  # noqa: T201
            else:
                for part in shown(source, answer, target, plain=not console.is_terminal):
                    console.print(part, soft_wrap=True)
    return failed


async def _files(result: Result, deps: generator.Deps) -> FilesGenerated | RunFailed | str:
    """The generator's answer for one analysis; the reason where there is none."""
    if result.analysis is None:
        return result.error
    event = TemplateResolved(
        run_id=new_run_id(),
        submission=Submission(repo_url="https://localhost/none"),
        analysis=result.analysis,
        decision="llm-generated",
    )
    try:
        return await generator.write(event, deps, result.shown)
    except GreenrunError as error:
        return str(error)


def write(files: Files, folder: Path) -> None:
    """Both files into the folder; WrongCall where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.by_path().items():
            (folder / path).write_text(text)
    except OSError as error:
        raise WrongCall(f"{folder} cannot be written: {error.strerror or error}") from error


def document(
    source: str, result: Result, answer: FilesGenerated | RunFailed | str, target: Path | None
) -> dict[str, Any]:
    """The answer as JSON has it: the files, or where they were written."""
    if isinstance(answer, str):
        return {"source": source, "error": answer}
    if isinstance(answer, RunFailed):
        return {"source": source, "error": answer.reason, "evidence": answer.evidence}
    proposal, analysis = answer.proposal, result.analysis
    said = {"source": source, "language": analysis and analysis.language, "origin": proposal.origin}
    where = {"written_to": str(target)} if target else {"files": proposal.files.by_path()}
    rounds = [one.model_dump(mode="json") for one in proposal.rounds]
    return {**said, "model": proposal.model, "notes": list(proposal.notes), "rounds": rounds, **where}


def shown(
    source: str, answer: FilesGenerated | RunFailed | str, target: Path | None, *, plain: bool = False
) -> Iterable[Any]:
    """The answer for people; what models were asked for it comes first. `plain`: without colours, no line broken."""
    if isinstance(answer, FilesGenerated | RunFailed):
        rounds = answer.rounds if isinstance(answer, RunFailed) else answer.proposal.rounds
        for number, one in enumerate(rounds, 1):
            yield Text(f"{one.model}, answer {number}: {one.outcome}; {'; '.join(one.findings)}"[:LINE], style="dim")
    if isinstance(answer, FilesGenerated) and target:
        yield Text(f"{source}: .gitlab-ci.yml and Dockerfile written to {target}", style="green")
    elif isinstance(answer, FilesGenerated):
        for path, text in answer.proposal.files.by_path().items():
            yield Rule(Text(f"{source}: {path}"))
            yield Text(text) if plain else Syntax(text, LEXERS[path], background_color="default", word_wrap=True)
    else:
        yield Text(f"{source}: {answer if isinstance(answer, str) else answer.reason}", style="red")


def _target(source: str, sources: list[str], out: Path | None) -> Path | None:
    """Where the files of a source go: `out` itself, or a folder in it for each of several sources."""
    if out is None or len(sources) == 1:
        return out
    name = source.rstrip("/").rpartition("/")[2].removesuffix(".git") or "source"
    names = [one.rstrip("/").rpartition("/")[2].removesuffix(".git") for one in sources]
    return out / (name if names.count(name) == 1 else f"{sources.index(source) + 1}-{name}")
