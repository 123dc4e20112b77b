"""`greenrun templates`: the template store by hand; how a platform team puts its own golden templates in front."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from greenrun.exits import USAGE, WrongCall, fail, finish, why
from greenrun.place import values
from shared.errors import GreenrunError
from shared.events import Files, Template
from shared.settings import ChromaSettings, PolicySettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from shared.adapters.reindex import Reindexed
    from shared.adapters.templates import ChromaTemplates

NONE_YET = "no templates yet; the first pipeline that passes becomes one"

app = typer.Typer(
    no_args_is_help=True, help="The templates in ChromaDB: list, show, add, export, import, remove, reindex, stats."
)
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Id = Annotated[str, typer.Argument(metavar="ID", help="the template's id, as list prints it")]


@app.command("list")
def list_all(
    *, language: Annotated[str | None, typer.Option(help="only of this language")] = None, as_json: AsJson = False
) -> None:
    """List the templates."""
    found = [one for one in finish(_all(files=False)) if language in (None, one.language)]
    if as_json:
        console.print_json(json.dumps([_summary(one) for one in found]))
        return
    table = Table(box=None)
    for column in ("id", "language", "framework", "version", "packages by", "stages", "collection"):
        table.add_column(column, no_wrap=column == "id")
    for one in found:
        row = (one.id, one.language, one.framework, one.version, one.package_manager, one.stages_count, one.collection)
        table.add_row(*(Text(str(cell)) if cell is not None else "" for cell in row))
    none = f"no templates of the language {language}" if language else NONE_YET
    console.print(table if found else none, markup=False)


@app.command()
def show(template_id: Id, *, as_json: AsJson = False) -> None:
    """Show one template: what it assumes, where it comes from, both files."""
    found = finish(_get(template_id))
    if as_json:
        console.print_json(found.model_dump_json())
        return
    said = found.model_dump(exclude={"pipeline", "dockerfile"}, exclude_none=True)
    for name, value in said.items():
        console.print(Text(f"{name:>16}  {value}"))
    for text, lexer in ((found.pipeline, "yaml"), (found.dockerfile, "docker")):
        if text:
            console.print("", Syntax(text, lexer, background_color="default", word_wrap=True))


@app.command()
def add(
    pipeline: Annotated[Path, typer.Argument(metavar="GITLAB_CI_YML", help="the pipeline's file")],
    dockerfile: Annotated[Path, typer.Argument(metavar="DOCKERFILE", help="the Dockerfile")],
    *,
    like: Annotated[str, typer.Option(help="a repository (folder or URL) that the files are for")],
    as_json: AsJson = False,
) -> None:
    """Put a golden template in front: both files, checked, for repositories like that one."""
    stored, new = finish(_add(pipeline, dockerfile, like))
    if as_json:
        console.print_json(json.dumps({**_summary(stored), "new": new}))
    else:
        console.print(f"{stored.id} {'stored in' if new else 'was already in'} {stored.collection}", markup=False)


@app.command()
def export(file: Annotated[Path, typer.Argument(help="file to write, one JSON object a line")]) -> None:
    """Write all templates to a file."""
    found = finish(_all(files=True))
    try:
        file.write_text("".join(f"{one.model_dump_json()}\n" for one in found))
    except OSError as error:
        raise fail(USAGE, f"{file} cannot be written: {error.strerror}") from error
    console.print(f"{len(found)} templates written to {file}", markup=False)


@app.command("import")
def import_all(file: Annotated[Path, typer.Argument(help="a file that export wrote")]) -> None:
    """Store the templates of a file, over those of the same id."""
    try:
        found = [Template.model_validate_json(line) for line in file.read_text().split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise fail(USAGE, f"{file} cannot be read: {why(error)}") from error
    except ValidationError as error:
        raise fail(USAGE, f"{file} holds something that is no template: {error.errors()[0]['msg']}") from error
    new = finish(_put_all(found))
    console.print(f"{new} new templates stored, {len(found) - new} replaced", markup=False)


@app.command()
def remove(template_id: Id) -> None:
    """Remove one template."""
    finish(_remove(template_id))
    console.print(f"{template_id} removed", markup=False)


@app.command()
def stats(*, as_json: AsJson = False) -> None:
    """Count the templates by collection and language."""
    found = finish(_all(files=False))
    counts: dict[str, dict[str, int]] = {}
    for one in found:
        by_language = counts.setdefault(one.collection, {})
        by_language[one.language] = by_language.get(one.language, 0) + 1
    if as_json:
        console.print_json(json.dumps(counts))
        return
    for collection, by_language in sorted(counts.items()):
        listed = ", ".join(f"{language} {count}" for language, count in sorted(by_language.items()))
        console.print(f"{collection}: {sum(by_language.values())} ({listed})", markup=False)
    if not counts:
        console.print(NONE_YET)


@app.command("reindex")
def reindex_all(*, as_json: AsJson = False) -> None:
    """Give every template a vector of the embedder that EMBEDDER names."""
    done = finish(_reindex())
    if as_json:
        console.print_json(json.dumps([one._asdict() for one in done]))
        return
    for one in done:
        console.print(f"{one.collection}: {one.templates} templates by {one.embedder}", markup=False)
        if one.strangers:
            console.print(f"  {one.strangers} records are no templates; they stay in {one.kept}", markup=False)


@asynccontextmanager
async def _store() -> AsyncIterator[ChromaTemplates]:
    """The store of the running system, or the one that the environment names."""
    with _client():
        from shared.adapters.templates import ChromaTemplates  # noqa: PLC0415 - heavy, and an extra of its own
    async with ChromaTemplates.connect(ChromaSettings(**values())) as store:
        yield store


@contextmanager
def _client() -> Iterator[None]:
    """Say how to install what is needed where it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise GreenrunError("ChromaDB's client is not installed; add the extra 'retriever' or 'embedded'") from error


async def _reindex() -> list[Reindexed]:
    with _client():
        from shared.adapters.reindex import reindex  # noqa: PLC0415 - heavy, and an extra of its own
    return await reindex(ChromaSettings(**values()))


async def _all(*, files: bool) -> list[Template]:
    """Every template by id."""
    async with _store() as store:
        return sorted([one async for one in store.every(files=files)], key=lambda template: template.id)


async def _get(template_id: str) -> Template:
    async with _store() as store:
        found = await store.get(template_id)
    if found is None:
        raise WrongCall(f"there is no template {template_id}; list them with: greenrun templates list")
    return found


async def _put_all(templates: Iterable[Template]) -> int:
    async with _store() as store:
        return sum([await store.put(template) for template in templates])


async def _remove(template_id: str) -> None:
    async with _store() as store:
        if not await store.remove(template_id):
            raise WrongCall(f"there is no template {template_id}; list them with: greenrun templates list")


async def _add(pipeline: Path, dockerfile: Path, like: str) -> tuple[Template, bool]:
    from greenrun.analyze import analysis_of  # noqa: PLC0415 - what it needs takes time to load
    from shared.golden import golden  # noqa: PLC0415

    disabled = PolicySettings(**values()).disabled_rules
    template = golden(_read(pipeline, dockerfile), await analysis_of(like), disabled)
    async with _store() as store:
        return template, await store.put(template)


def _read(pipeline: Path, dockerfile: Path) -> Files:
    return Files(pipeline=_text(pipeline), dockerfile=_text(dockerfile))


def _text(file: Path) -> str:
    """The file's text; WrongCall where it cannot be read."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongCall(f"{file} cannot be read: {why(error)}") from error


def _summary(template: Template) -> dict[str, Any]:
    return template.model_dump(mode="json", exclude={"pipeline", "dockerfile"})
