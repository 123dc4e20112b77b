"""Render the two files of a repository from its recipe; the knowledge is in the YAML and Jinja files beside."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jinja2

from shared.ci.images import RULES, NameRule, private_name
from shared.events import Analysis, Commands, Files
from shared.recipes.library import HERE, SERVICES, TOOLS, load, recipe_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Short = Callable[[str], str]

PLAIN_PATH = re.compile(r"[\w./*-]+")
DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,60}")
# The scanner whose rules come from the internet.
FETCHES_RULES = "semgrep"
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - the output is YAML and Dockerfile, not HTML
    keep_trailing_newline=True,
)
_environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Runner:
    """Where the files will run: what builds the image there, what the runner allows, and how images are named.

    `insecure`: the registry speaks http.
    """

    builder: str = "kaniko"
    privileged: bool = False
    air_gapped: bool = False
    names: tuple[NameRule, ...] = RULES
    insecure: bool = False


ORDINARY = Runner()


def render(analysis: Analysis, *, registry: str, runner: Runner = ORDINARY) -> Files | None:
    """The files for this repository; None where there is no recipe for its language."""
    recipe = recipe_for(analysis)
    if recipe is None:
        return None
    recipe = _with_system_packages(analysis, recipe)
    short = partial(_short, registry=registry, rules=runner.names)
    if runner.air_gapped:
        recipe = _without_the_internet(recipe, short)
    commands = _one_line_each(analysis.commands)
    values = {
        "registry": registry,
        **_place(analysis, recipe, short),
        **_pipeline(analysis, recipe, commands, short),
        **_image(analysis, recipe, commands),
        **_builder(runner, short),
        "air_gapped": runner.air_gapped,
    }
    pipeline = _environment.get_template("pipeline.yml.j2").render(values)
    dockerfile = _environment.get_template(f"dockerfiles/{recipe['dockerfile']}.j2").render(values)
    return Files(pipeline=pipeline, dockerfile=f"{_advice(recipe)}{dockerfile}")


def _with_system_packages(analysis: Analysis, recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe with the larger images where Debian's packages are needed, and those that even they do not have."""
    needed = [name for name in analysis.system_packages if DEBIAN_PACKAGE.fullmatch(name)]
    if not needed or "full_images" not in recipe:
        return recipe | {"packages": []}
    packages = [name for name in needed if name not in recipe["full_images_have"]]
    full = recipe["full_images"]
    images = recipe["images"] | {role: image for role, image in full.items() if role != "image"}
    return recipe | {"packages": packages, "image": full.get("image", recipe["image"]), "images": images}


def _without_the_internet(recipe: dict[str, Any], short: Short) -> dict[str, Any]:
    """The recipe for a runner behind an air gap: rules that are fetched give way to rules that are there."""
    inside = load(TOOLS)["air_gapped"]
    mirrored = {name: f"${{REGISTRY}}/{short(source)}" for name, source in inside["mirrored"].items()}
    chosen = recipe | {"variables": recipe["variables"] | mirrored}
    if recipe.get("sast_image") != FETCHES_RULES:
        return chosen
    jobs = recipe["jobs"] | {"sast": inside["sast"]}
    return chosen | {"jobs": jobs, "sast_image": inside["sast_image"], "sast_report": None}


def _place(analysis: Analysis, recipe: Mapping[str, Any], short: Short) -> dict[str, Any]:
    """Where images come from and where the project stands."""
    named = {"image": recipe["image"], **recipe["images"]}
    return {
        "title": " · ".join(filter(None, [recipe["title"], analysis.framework, recipe["manager"]])),
        "images": {role: short(image.format(version=recipe["release"])) for role, image in named.items()},
        "enter": [f"cd {shlex.quote(analysis.root)}"] if analysis.root else [],
        "source": analysis.root or ".",
        **recipe["values"],
    }


def _pipeline(analysis: Analysis, recipe: Mapping[str, Any], commands: Commands, short: Short) -> dict[str, Any]:
    """What the jobs ask for: the repository's own commands first, the recipe's where it has none."""
    jobs, tools, run = recipe["jobs"], load(TOOLS), recipe.get("run", "")
    images = {job: recipe.get(f"{job}_image") for job in ("sast", "quality")}
    return {
        "variables": recipe["variables"],
        "cache_key": [_below(analysis, analysis.lockfile or next(iter(analysis.manifests), "Dockerfile"))],
        "cache": recipe["cache"],
        "prepare": [line for line in (recipe.get("tool"), commands.install or recipe["install"]) if line],
        "compile": _filled([commands.build] if commands.build else jobs["compile"], run),
        **_tests(analysis, commands, recipe),
        **_services(analysis, short),
        "sast": jobs["sast"],
        "sast_report": _below(analysis, recipe["sast_report"]) if recipe.get("sast_report") else None,
        "quality": [commands.lint] if commands.lint else jobs["quality"],
        # A linter of the repository's own, or one that builds, needs what the program needs.
        "quality_needs_dependencies": not images["quality"] and bool(commands.lint or recipe.get("quality_own")),
        "job_images": {job: short(tools[tool]) if tool else None for job, tool in images.items()},
        "tools": {tool: short(tools[tool]) for tool in ("trivy", "crane", "curl")},
    }


def _image(analysis: Analysis, recipe: Mapping[str, Any], commands: Commands) -> dict[str, Any]:
    """What the Dockerfile asks for."""
    install, main = commands.install or recipe["install"], analysis.entry_point or "."
    return {
        "tool": recipe.get("tool"),
        "packages": recipe["packages"],
        "manifests": _copied_first(analysis, recipe["manifests"] or _requirements(install)),
        "install": recipe.get("production", install),
        "early": _early(analysis, recipe.get("early")),
        "build_command": commands.build,
        "main": main if PLAIN_PATH.fullmatch(main) else ".",
        "entry_point": main,
        "framework": analysis.framework,
        "serves": commands.start is not None or analysis.framework is not None,
        "start": ["sh", "-c", f"exec {commands.start}"] if commands.start else None,
        "port": analysis.ports[0] if analysis.ports else recipe["port"],
    }


def _builder(runner: Runner, short: Short) -> dict[str, Any]:
    chosen = load(TOOLS)["builders"][runner.builder]
    if runner.privileged:
        chosen = chosen | chosen.get("privileged", {})
    insecure = chosen["insecure"] if runner.insecure else ""
    script = [_fitted(line, insecure) for line in chosen["script"]]
    return {"build_image": short(chosen["image"]), "build": script, "insecure": runner.insecure}


def _fitted(line: str, insecure: str) -> str:
    """The line with what the builder wants to hear of a registry without https; no line is left empty."""
    filled = line.replace("{insecure}", insecure)
    return "\n".join(one for one in filled.splitlines() if one.strip())


def _advice(recipe: Mapping[str, Any]) -> str:
    """What a person may add besides the two files, as a comment."""
    return f"# A .dockerignore with these keeps the image small and secrets out of it: {' '.join(recipe['ignored'])}\n"


def _one_line_each(commands: Commands) -> Commands:
    """The commands, each as one line of printable text: no text of a repository may end a line of the files."""
    lines = {
        name: "".join(c if c.isprintable() else " " for c in text).strip() or None
        for name, text in commands.model_dump(exclude_none=True).items()
    }
    return Commands.model_validate(lines)


def _tests(analysis: Analysis, commands: Commands, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The lines of the test job and the reports that they leave, if any."""
    command, run, junit = commands.test, recipe.get("run", ""), recipe.get("junit")
    report = _report(analysis, command, recipe) if command else None
    if command is None:
        lines = _filled(recipe["jobs"]["test"], run)
    elif report is None:
        lines = [command]
    else:
        declared = {dependency.name.lower() for dependency in analysis.dependencies}
        tools = [line for name, line in report.get("install", {}).items() if name not in declared]
        lines, junit = [*tools, command + report["option"]], report.get("junit", junit)
    coverage = report.get("coverage") if report else None
    needed = [commands.test_install] if command and commands.test_install else []
    return {
        "test": [*needed, *lines],
        "junit": _below(analysis, junit) if junit else None,
        "coverage": {**coverage, "path": _below(analysis, coverage["path"])} if coverage else None,
    }


def _report(analysis: Analysis, command: str, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first of the recipe's reports that this test command can be told to write.

    In an environment of the package manager's own (`uv run pytest`) nothing is installed besides: what the report
    needs is declared there, or the report is another one.
    """
    declared = {dependency.name.lower() for dependency in analysis.dependencies}
    line = ".".join(recipe["release"].split(".")[:2])
    within = command.removeprefix(recipe.get("run") or "\n")
    for report in recipe.get("reports", ()):
        if line not in report.get("releases", [line]) or report.get("declared", "") not in {"", *declared}:
            continue
        if _is_told(command, report):
            return dict(report)
        if _is_told(within, report) and {*report.get("install", {})} - {report["prefix"]} <= declared:
            return {**report, "install": {}}
    return None


def _is_told(command: str, report: Mapping[str, Any]) -> bool:
    """Whether an option at the end of the command is one of the report's tool."""
    return bool(re.match(rf"{re.escape(report['prefix'])}(?!\S)[^&|;]*$", command))


def _services(analysis: Analysis, short: Short) -> dict[str, Any]:
    """What stands beside the tests of a repository that has some, and how they find it."""
    known = load(SERVICES)
    chosen = [known[name] for name in analysis.services if name in known] if analysis.commands.test else []
    told: dict[str, str] = {}
    for service in chosen:
        told = {**service["tells"], **told}
    services = [{"command": None, "variables": None, **one, "image": short(one["image"])} for one in chosen]
    return {"services": services, "told": told}


def _early(analysis: Analysis, early: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What is fetched before the sources are copied, from which manifests."""
    return {**early, "manifests": [_below(analysis, path) for path in early["manifests"]]} if early else None


def _copied_first(analysis: Analysis, manifests: list[str]) -> list[str]:
    """What is copied before the dependencies are installed: these manifests; the whole source where one is missing."""
    certain = {path for path in manifests if "*" not in path}
    if analysis.manifests and not certain <= set(analysis.manifests):
        return [analysis.root or "."]
    return [_below(analysis, path) for path in manifests]


def _requirements(install: str) -> list[str]:
    """What pip's requirements are copied from; nothing where the install needs the whole source (`pip install .`)."""
    return ["requirements*.txt"] if " -r " in f"{install} " and "/" not in install else []


def _below(analysis: Analysis, path: str) -> str:
    """The path from the repository's root."""
    return f"{analysis.root}/{path}" if analysis.root else path


def _filled(lines: list[str], run: str) -> list[str]:
    """The lines with the package manager's way to run a command in its environment filled in."""
    return [line.replace("{run}", run) for line in lines]


def _short(source: str, registry: str, rules: tuple[NameRule, ...]) -> str:
    """The image's private name without the registry, which the files name once, as a variable."""
    return private_name(source, registry, rules).removeprefix(f"{registry}/")


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
