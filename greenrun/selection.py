"""Which images a command is about: those of runs, of a folder's two files, of a list, or of the built-in recipes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from greenrun.exits import WrongCall, why
from greenrun.place import running_log
from services.seeder import decide
from services.seeder.decide import Names, Wanted
from shared.ci.images import is_private, parse, private_name, source_name
from shared.events import Files
from shared.history import fold
from shared.recipes import source_images

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.events import Image


@dataclass(frozen=True)
class Selection:
    """What was asked for; with nothing, all runs. `listed` is a file of names, one a line, `-` standard input."""

    runs: tuple[str, ...] = ()
    folder: Path | None = None
    listed: str | None = None
    recipes: bool = False


async def selected(selection: Selection, names: Names) -> tuple[list[Wanted], list[Image]]:
    """The images by their targets, each once, and those that cannot be had as they are named.

    WrongCall where a run, a file or a name is none; Retry where the log does not answer.
    """
    found, refused = [], []
    for files in await _files(selection):
        wanted, others = decide.wanted(files, names)
        found += wanted
        refused += others
    sources = [*(source_images() if selection.recipes else ()), *(_lines(selection.listed) if selection.listed else ())]
    found += [_named(source, names) for source in sources]
    return [*{image.target: image for image in reversed(found)}.values()][::-1], refused


async def _files(selection: Selection) -> list[Files]:
    if selection.folder:
        return [_in_folder(selection.folder), *(await _of_runs(selection.runs) if selection.runs else [])]
    if selection.runs or not (selection.listed or selection.recipes):
        return await _of_runs(selection.runs)
    return []


async def _of_runs(runs: Iterable[str]) -> list[Files]:
    """The newest files of each run, of all runs where none is named; a run that has none yet needs no image."""
    async with running_log() as bus:
        chosen = list(runs) or sorted({recorded.event.run_id for recorded in await bus.all_events()})
        histories = {run: await bus.history(run) if run.isalnum() else [] for run in chosen}
    unknown = [run for run, records in histories.items() if not records]
    if unknown:
        raise WrongCall(f"there is no run {unknown[0]}; 'greenrun runs' lists them")
    return [files for records in histories.values() if (files := fold(records).files)]


def _in_folder(folder: Path) -> Files:
    """The two files, of which one may be missing."""
    paths = [folder / name for name in (".gitlab-ci.yml", "Dockerfile")]
    if not any(path.is_file() for path in paths):
        raise WrongCall(f"{folder} has neither .gitlab-ci.yml nor Dockerfile")
    pipeline, dockerfile = (_read(path) if path.is_file() else "" for path in paths)
    return Files(pipeline=pipeline or "{}", dockerfile=dockerfile)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongCall(f"{path} cannot be read: {why(error)}") from error


def _lines(name: str) -> list[str]:
    """The names of a list; empty lines and what follows a # are left out."""
    try:
        text = sys.stdin.read() if name == "-" else _read(Path(name))
    except UnicodeDecodeError as error:
        raise WrongCall(f"standard input cannot be read: {why(error)}") from error
    return [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]


def _named(name: str, names: Names) -> Wanted:
    """By its source's name or its private one; WrongCall says what is wrong with it."""
    try:
        private = is_private(name, names.registry)
        source = source_name(name, names.registry, names.rules) if private else str(parse(name))
        target = str(parse(name)) if private else private_name(source, names.registry, names.rules)
    except ValueError as error:
        raise WrongCall(str(error)) from error
    return Wanted(target, source, names.places(source), ("list",))
