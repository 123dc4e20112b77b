"""`greenrun images`: which images are needed, which are missing, and how a person carries them over an air gap."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from greenrun.exits import FAILED, errors, finish, refused
from greenrun.place import values

if TYPE_CHECKING:
    from greenrun.bundles import Carried
    from greenrun.selection import Selection
    from services.seeder.decide import Names, Wanted
    from services.seeder.settings import Settings
    from shared.events import Image
    from shared.ports import Manifest

app = typer.Typer(
    no_args_is_help=True, help="The images of pipelines: list, missing, export, import over an air gap, build."
)
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="runs; with no other choice, all of them")]
Folder = Annotated[Path | None, typer.Option(help="folder with .gitlab-ci.yml and Dockerfile")]
Listed = Annotated[str | None, typer.Option("--list", help="file with names, one a line, as missing prints them; -")]
Recipes = Annotated[bool, typer.Option("--recipes", help="every image that the built-in recipes use")]


@app.command("list")
def list_all(
    runs: Runs = None,
    *,
    folder: Folder = None,
    listed: Listed = None,
    recipes: Recipes = False,
    as_json: AsJson = False,
) -> None:
    """List the images that are needed, and what the private registry has of them."""
    rows, refused = finish(_states(_selection(runs, folder, listed, recipes=recipes)))
    if as_json:
        found = [_row(image, manifest) for image, manifest in rows]
        console.print_json(json.dumps([*found, *(image.model_dump(mode="json") for image in refused)]))
        return
    table = Table(box=None)
    for column in ("image", "in the registry as", "state", "used by"):
        table.add_column(column, overflow="fold")
    for image, manifest in rows:
        state = Text("present", style="green") if manifest else Text("missing", style="red")
        table.add_row(Text(image.source), Text(image.target), state, Text(", ".join(image.used_by)))
    for one in refused:
        table.add_row(Text(one.source), Text(one.target), Text(one.state, style="red"), Text(one.reason))
    console.print(table if rows or refused else "no images")


@app.command()
def missing(
    runs: Runs = None,
    *,
    folder: Folder = None,
    listed: Listed = None,
    recipes: Recipes = False,
    as_json: AsJson = False,
) -> None:
    """Print the sources that the private registry does not have, one a line: a list for export."""
    rows, refused = finish(_states(_selection(runs, folder, listed, recipes=recipes)))
    gone = [image for image, manifest in rows if manifest is None]
    if as_json:
        console.print_json(json.dumps([_row(image, None) for image in gone]))
    else:
        for image in gone:
            typer.echo(image.source)
    for one in refused:
        errors.print(f"{one.source or one.used_by[0]}: {one.reason}", style="yellow", markup=False, highlight=False)


@app.command()
def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="file to write")],
    runs: Runs = None,
    *,
    folder: Folder = None,
    listed: Listed = None,
    recipes: Recipes = False,
    partly: Annotated[bool, typer.Option("--partly", help="write what can be had, though not all can")] = False,
) -> None:
    """Write one file with all the images, to be carried to where no source can be reached."""
    _report(finish(_export(bundle, _selection(runs, folder, listed, recipes=recipes), partly=partly)), bundle)


@app.command("import")
def import_all(bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="a file that export wrote")]) -> None:
    """Bring the images of a bundle into the private registry."""
    from greenrun import bundles  # noqa: PLC0415 - what it needs takes time to load

    done = finish(bundles.import_all(bundle, _settings(), _say))
    _failures(done)
    number = len(done.images)
    said = "1 image is" if number == 1 else f"{number} images are"
    console.print(f"{said} in the private registry", markup=False, highlight=False)
    if done.failed:
        raise typer.Exit(FAILED)


@app.command()
def build(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="folders of images/; none: all")
    ] = None,
    *,
    folder: Annotated[Path, typer.Option(help="where the images' folders are")] = Path("images"),
    builder: Annotated[str | None, typer.Option(help="buildah or docker; default: which of them is here")] = None,
) -> None:
    """Make the images that have compilers in them, and push them to the private registry."""
    from greenrun.builds import build_all  # noqa: PLC0415 - what it needs takes time to load

    for target in finish(build_all(names or [], folder, _settings(), builder, _say)):
        console.print(f"{target} is in the private registry", markup=False)


def _selection(runs: list[str] | None, folder: Path | None, listed: str | None, *, recipes: bool) -> Selection:
    from greenrun.selection import Selection  # noqa: PLC0415 - what it needs takes time to load

    return Selection(tuple(runs or ()), folder, listed, recipes)


def _settings() -> Settings:
    from services.seeder.settings import Settings  # noqa: PLC0415 - what it needs takes time to load

    try:
        return Settings(**values())
    except ValidationError as error:
        raise refused(error) from error


def _names(settings: Settings) -> Names:
    from services.seeder.decide import Names  # noqa: PLC0415 - what it needs takes time to load

    return Names(settings.nexus_registry, settings.places, settings.names)


async def _states(selection: Selection) -> tuple[list[tuple[Wanted, Manifest | None]], list[Image]]:
    """Every image with its manifest in the private registry."""
    from greenrun.selection import selected  # noqa: PLC0415 - what it needs takes time to load
    from shared.adapters.registry import RegistryClient  # noqa: PLC0415
    from shared.ci.images import parse  # noqa: PLC0415

    settings = _settings()
    images, refused = await selected(selection, _names(settings))
    async with RegistryClient.of(settings, timeout=settings.registry_timeout) as registry:
        asked = [(parse(image.target).repository, parse(image.target).wanted) for image in images]
        manifests = await asyncio.gather(*(registry.manifest(*one) for one in asked))
    return list(zip(images, manifests, strict=True)), refused


async def _export(bundle: Path, selection: Selection, *, partly: bool) -> Carried:
    from greenrun import bundles  # noqa: PLC0415 - what it needs takes time to load
    from greenrun.selection import selected  # noqa: PLC0415

    settings = _settings()
    images, _ = await selected(selection, _names(settings))
    return await bundles.export(images, bundle, settings, _say, partly=partly)


def _report(done: Carried, bundle: Path) -> None:
    _failures(done)
    if done.images:
        number = "1 image" if len(done.images) == 1 else f"{len(done.images)} images"
        console.print(f"{number} in {bundle}, {done.size} bytes", markup=False, highlight=False)
    else:
        console.print(f"{bundle} was not written" + ("" if done.failed else ": no image is needed"), markup=False)
    if done.failed:
        raise typer.Exit(FAILED)


def _failures(done: Carried) -> None:
    for source, words in done.failed.items():
        errors.print(f"{source}: {words}", style="red", markup=False, highlight=False)


def _say(image: str, words: str) -> None:
    console.print(f"{image}: {words}", markup=False, highlight=False)


def _row(image: Wanted, manifest: Manifest | None) -> dict[str, Any]:
    return {
        "source": image.source,
        "target": image.target,
        "state": "present" if manifest else "missing",
        "used_by": list(image.used_by),
        "digest": manifest and manifest.digest,
        "size": manifest and manifest.size,
    }
