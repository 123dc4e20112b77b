"""The commands that need nothing else running. What they need loads slowly, so it waits."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.console import Console

from greenrun.exits import FAILED, USAGE, fail, finish, refused
from shared.errors import GreenrunError

Provider = Literal["rules", "ollama", "openai", "claude-code"]
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
    provider: Annotated[Provider, typer.Option(help="who writes; rules are the recipes")] = "rules",
    registry: Annotated[str | None, typer.Option(help="host:port of the registry that the files name")] = None,
    builder: Annotated[str | None, typer.Option(help="kaniko, buildah or buildkit")] = None,
    privileged: Annotated[bool | None, typer.Option(help="the runner allows privileged containers")] = None,
    air_gapped: Annotated[bool | None, typer.Option(help="jobs reach the registry and mirrors alone")] = None,
    insecure: Annotated[bool | None, typer.Option("--registry-http", help="the registry speaks http")] = None,
    ref: Ref = None,
    subfolder: Subfolder = "",
    out: Annotated[Path | None, typer.Option(help="write the files into this folder")] = None,
    as_json: AsJson = False,
) -> None:
    """Print or write .gitlab-ci.yml and Dockerfile. Nothing else has to run."""
    from greenrun.generate import Options, print_all  # noqa: PLC0415 - what it needs takes time to load
    from services.generator.settings import Settings  # noqa: PLC0415

    chosen: dict[str, Any] = {"llm_provider": provider, "nexus_registry": registry, "image_builder": builder}
    chosen |= {"runner_privileged": privileged, "air_gapped": air_gapped, "registry_insecure": insecure}
    try:
        settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    except ValidationError as error:
        raise refused(error) from error
    if finish(print_all(sources, Options(ref, subfolder, out, as_json), settings)):
        raise typer.Exit(FAILED)


def lint(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help=".gitlab-ci.yml or Dockerfile; - is standard input")
    ] = None,
    *,
    house: Annotated[
        bool | None,
        typer.Option(
            "--house/--no-house",
            help="hold the file against greenrun's own rules (nine stages, ten jobs, policy); "
            "default: where it has most of the stages and jobs",
        ),
    ] = None,
    registry: Annotated[
        str | None, typer.Option(help="host:port of the registry that images come from; implies --house")
    ] = None,
    disable: Annotated[
        str, typer.Option(envvar="POLICY_DISABLED", help="rules of the policy that do not count, with commas between")
    ] = "",
    tools: Annotated[bool, typer.Option("--tools/--no-tools", help="ask hadolint and shellcheck where present")] = True,
    rules: Annotated[bool, typer.Option("--rules", help="list all rules and end")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON array of findings")] = False,
) -> None:
    """Say what is wrong with pipelines and Dockerfiles; exit code 0 only where no error is found.

    GitLab's rules hold for every file; local includes are read from the file's folder. Greenrun's own rules hold where
    a file is meant as one of greenrun's, or where --house or --registry asks for them.
    """
    from greenrun import lint as command  # noqa: PLC0415 - what it needs takes time to load
    from shared.ci.rules import switched_off  # noqa: PLC0415

    if rules:
        print(command.rules_json() if as_json else command.rules_text())  # noqa: T201 - the command's output
        return
    if not files:
        raise fail(USAGE, "name a file, or - for standard input")
    try:
        options = command.Options(True if registry else house, registry, switched_off(disable), tools)
    except ValueError as error:
        raise fail(USAGE, f"--disable: {error}") from error
    checked = [command.lint(name, options) for name in files]
    if as_json:
        print(command.as_json(checked))  # noqa: T201 - the command's output
    else:
        command.show(checked, Console())
    for one in checked:
        if one.refused:
            fail(USAGE, one.refused)
    if any(one.refused for one in checked):
        raise typer.Exit(USAGE)
    if any(finding.severity == "error" for one in checked for finding in one.findings):
        raise typer.Exit(FAILED)


def classify(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="logs of failed jobs, of any size; - is standard input")
    ],
    *,
    failure_reason: Annotated[
        str | None, typer.Option(help="the job's failure_reason, as GitLab's API gives it; it comes before any text")
    ] = None,
    exit_code: Annotated[
        int | None, typer.Option(min=0, max=255, help="the exit code of the job; default: the one that the log names")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why jobs failed, from their logs: class, the line that says it, how sure that is. Nothing else has to run."""
    from greenrun import classify as command  # noqa: PLC0415 - what it needs takes time to load

    refused = False
    for name in files:
        try:
            found = command.classify(name, failure_reason, exit_code)
        except GreenrunError as error:
            refused = True
            fail(USAGE, str(error))
            continue
        if as_json:
            print(command.as_json(name, found), flush=True)  # noqa: T201 - the command's output
        else:
            command.show(name, found, Console())
    if refused:
        raise typer.Exit(USAGE)
