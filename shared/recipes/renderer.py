"""Render the two files of a repository from its recipe; the knowledge is in the YAML and Jinja files beside."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import jinja2

from shared.ci.images import private_name
from shared.events import Analysis, Commands, Files
from shared.recipes.library import HERE, TOOLS, load, recipe_for

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN_PATH = re.compile(r"[\w./*-]+")
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - the output is YAML and Dockerfile, not HTML
    keep_trailing_newline=True,
)
_environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)


def render(analysis: Analysis, *, registry: str, builder: str = "kaniko") -> Files | None:
    """The files for this repository; None where there is no recipe for its language."""
    recipe = recipe_for(analysis)
    if recipe is None:
        return None
    commands = _one_line_each(analysis.commands)
    values = {
        **_place(analysis, recipe, registry),
        **_pipeline(analysis, recipe, commands, registry),
        **_image(analysis, recipe, commands),
        **_builder(builder, registry),
    }
    pipeline = _environment.get_template("pipeline.yml.j2").render(values)
    dockerfile = _environment.get_template(f"dockerfiles/{recipe['dockerfile']}.j2").render(values)
    return Files(pipeline=pipeline, dockerfile=dockerfile)


def _place(analysis: Analysis, recipe: Mapping[str, Any], registry: str) -> dict[str, Any]:
    """Where images come from and where the project stands."""
    named = {"image": recipe["image"], **recipe["images"]}
    return {
        "registry": registry,
        "title": " · ".join(filter(None, [recipe["title"], analysis.framework, recipe["manager"]])),
        "images": {role: _short(image.format(version=recipe["release"]), registry) for role, image in named.items()},
        "enter": [f"cd {shlex.quote(analysis.root)}"] if analysis.root else [],
        "source": analysis.root or ".",
        **recipe["values"],
    }


def _pipeline(analysis: Analysis, recipe: Mapping[str, Any], commands: Commands, registry: str) -> dict[str, Any]:
    """What the jobs ask for: the repository's own commands first, the recipe's where it has none."""
    jobs, tools, run = recipe["jobs"], load(TOOLS), recipe.get("run", "")
    test, junit = _tests(commands.test, recipe)
    images = {job: recipe.get(f"{job}_image") for job in ("sast", "quality")}
    return {
        "variables": recipe["variables"],
        "cache_key": [_below(analysis, analysis.lockfile or next(iter(analysis.manifests), "Dockerfile"))],
        "cache": recipe["cache"],
        "prepare": [line for line in (recipe.get("tool"), commands.install or recipe["install"]) if line],
        "compile": _filled([commands.build] if commands.build else jobs["compile"], run),
        "test": _filled(test, run),
        "junit": _below(analysis, junit) if junit else None,
        "sast": jobs["sast"],
        "sast_report": _below(analysis, recipe["sast_report"]) if recipe.get("sast_report") else None,
        "quality": [commands.lint] if commands.lint else jobs["quality"],
        # A linter of the repository's own, or one that builds, needs what the program needs.
        "quality_needs_dependencies": not images["quality"] and bool(commands.lint or recipe.get("quality_own")),
        "job_images": {job: _short(tools[tool], registry) if tool else None for job, tool in images.items()},
        "tools": {tool: _short(tools[tool], registry) for tool in ("trivy", "crane", "curl")},
    }


def _image(analysis: Analysis, recipe: Mapping[str, Any], commands: Commands) -> dict[str, Any]:
    """What the Dockerfile asks for."""
    install, main = commands.install or recipe["install"], analysis.entry_point or "."
    return {
        "tool": recipe.get("tool"),
        "manifests": [_below(analysis, path) for path in recipe["manifests"] or _requirements(install)],
        "install": recipe.get("production", install),
        "build_command": commands.build,
        "main": main if PLAIN_PATH.fullmatch(main) else ".",
        "entry_point": main,
        "framework": analysis.framework,
        "serves": commands.start is not None or analysis.framework is not None,
        "start": ["sh", "-c", f"exec {commands.start}"] if commands.start else None,
        "port": analysis.ports[0] if analysis.ports else recipe["port"],
    }


def _builder(builder: str, registry: str) -> dict[str, Any]:
    chosen = load(TOOLS)["builders"][builder]
    return {"build_image": _short(chosen["image"], registry), "build": chosen["script"]}


def _one_line_each(commands: Commands) -> Commands:
    """The commands, each as one line of printable text: no text of a repository may end a line of the files."""
    lines = {
        name: "".join(c if c.isprintable() else " " for c in text).strip() or None
        for name, text in commands.model_dump(exclude_none=True).items()
    }
    return Commands.model_validate(lines)


def _tests(command: str | None, recipe: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """The lines of the test job and the JUnit report that they leave, if any."""
    junit = recipe.get("junit")
    if command is None:
        return recipe["jobs"]["test"], junit if isinstance(junit, str) else None
    tool = recipe.get("test_tools", {}).get(command.split()[0])
    lines = [tool] if tool else []
    if isinstance(junit, dict) and command.startswith(junit["prefix"]):
        return [*lines, command + junit["option"]], junit["path"]
    return [*lines, command], junit if isinstance(junit, str) else None


def _requirements(install: str) -> list[str]:
    """What pip's requirements are copied from; nothing where the install needs the whole source (`pip install .`)."""
    return ["requirements*.txt"] if " -r " in f"{install} " and "/" not in install else []


def _below(analysis: Analysis, path: str) -> str:
    """The path from the repository's root."""
    return f"{analysis.root}/{path}" if analysis.root else path


def _filled(lines: list[str], run: str) -> list[str]:
    """The lines with the package manager's way to run a command in its environment filled in."""
    return [line.replace("{run}", run) for line in lines]


def _short(source: str, registry: str) -> str:
    """The image's private name without the registry, which the files name once, as a variable."""
    return private_name(source, registry).removeprefix(f"{registry}/")


def _instruction(command: str) -> str:
    """The command as a Dockerfile's RUN takes it; in exec form where the lines after it would become part of it."""
    if command.endswith("\\") or "<<" in command:
        return json.dumps(["sh", "-c", command]).replace("<", "\\u003c")
    return command


def _copy(sources: list[str], target: str) -> str:
    """The arguments of COPY; as JSON where a name has characters that the plain form would read otherwise."""
    plain = all(PLAIN_PATH.fullmatch(source) for source in sources)
    return " ".join([*sources, target]) if plain else json.dumps([*sources, target])


_environment.filters["run"] = _instruction
_environment.filters["copy"] = _copy
