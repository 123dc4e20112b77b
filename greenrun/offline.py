"""The commands that need nothing else running: analyze and generate. What they need takes time to load, so it waits."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from greenrun.exits import FAILED, USAGE, fail, finish

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object a line")]
Sources = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="URLs of repositories, or folders")]
Ref = Annotated[str | None, typer.Option(help="branch, tag or commit; not of a folder with files")]
Subfolder = Annotated[str, typer.Option(help="only this folder of each source")]


def analyze(
    sources: Sources,
    *,
    ref: Ref = None,
    subfolder: Subfolder = "",
    as_json: AsJson = False,
) -> None:
    """Say what repositories are: language, framework, version, commands. Nothing else has to run."""
    from greenrun.analyze import print_all  # noqa: PLC0415 - what it needs takes time to load

    if finish(print_all(sources, ref, subfolder, as_json=as_json)):
        raise typer.Exit(FAILED)


def generate(
    sources: Sources,
    *,
    provider: Annotated[str, typer.Option(help="rules (the recipes), ollama, openai or claude-code")] = "rules",
    registry: Annotated[str | None, typer.Option(help="host:port of the registry that the files name")] = None,
    builder: Annotated[str | None, typer.Option(help="kaniko, buildah or buildkit")] = None,
    privileged: Annotated[bool | None, typer.Option(help="the runner allows privileged containers")] = None,
    air_gapped: Annotated[bool | None, typer.Option(help="jobs reach the registry and mirrors alone")] = None,
    ref: Ref = None,
    subfolder: Subfolder = "",
    out: Annotated[Path | None, typer.Option(help="write the files into this folder")] = None,
    as_json: AsJson = False,
) -> None:
    """Print or write .gitlab-ci.yml and Dockerfile. Nothing else has to run."""
    from greenrun.generate import Options, print_all  # noqa: PLC0415 - what it needs takes time to load
    from services.generator.settings import Settings  # noqa: PLC0415

    chosen: dict[str, Any] = {"llm_provider": provider, "nexus_registry": registry, "image_builder": builder}
    chosen |= {"runner_privileged": privileged, "air_gapped": air_gapped}
    try:
        settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    except ValidationError as error:
        raise fail(USAGE, "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())) from error
    if finish(print_all(sources, Options(ref, subfolder, out, as_json), settings)):
        raise typer.Exit(FAILED)
