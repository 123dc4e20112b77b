"""Render the two files of a repository from its recipe; the knowledge is in the YAML and Jinja files beside this one.

The name of every image keeps the release that the analysis found, exactly: whether that release exists is for the
registry to say.
"""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from ruamel.yaml import YAML

from shared.ci.images import private_name
from shared.events import Analysis, Commands, Files

HERE = Path(__file__).parent
RECIPES = {"python": "python", "javascript": "javascript", "typescript": "javascript", "ruby": "ruby"}
BUILDERS = ("kaniko", "buildah", "buildkit")
# What the image's dependency layer is made from, per package manager; a `*` makes an absent file no error.
MANIFESTS = {
    "poetry": ["pyproject.toml", "poetry.lock*", "README*"],
    "uv": ["pyproject.toml", "uv.lock*", "README*"],
    "pipenv": ["Pipfile", "Pipfile.lock*"],
    "npm": ["package.json", "package-lock.json*"],
    "yarn": ["package.json", "yarn.lock*"],
    "pnpm": ["package.json", "pnpm-lock.yaml*"],
    "bun": ["package.json", "bun.lock*"],
    "bundler": ["Gemfile*", "*.gemspec*"],
}
# How the image installs: without the tools of development, into the image's own environment.
PRODUCTION = {
    "poetry": "poetry install --no-root --only main",
    "uv": "uv export --frozen --no-dev --no-emit-project --output-file /tmp/lock.txt && pip install -r /tmp/lock.txt",
    "pipenv": "pipenv install --system --deploy",
}
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
    if analysis.language not in RECIPES:
        return None
    values = _values(analysis, registry, builder)
    pipeline = _environment.get_template("pipeline.yml.j2").render(values)
    dockerfile = _environment.get_template(f"dockerfiles/{values['dockerfile']}.j2").render(values)
    return Files(pipeline=pipeline, dockerfile=dockerfile)


def source_images() -> tuple[str, ...]:
    """The full source name of every image that the recipes use, for all versions that they know."""
    tools = _load("tools")
    images = {tools[name] for name in ("trivy", "crane", "curl", "semgrep")}
    images |= {builder["image"] for builder in tools["builders"].values()}
    for name in sorted(set(RECIPES.values())):
        recipe = _load(name)
        base = recipe["image"].rpartition(":")[0]
        images |= set(recipe.get("extra_images", ()))
        images |= {
            f"{base}:{variant.format(version=version)}"
            for version in recipe["versions"]
            for variant in recipe["variants"]
        }
    return tuple(sorted(images))


def _values(analysis: Analysis, registry: str, builder: str) -> dict[str, Any]:
    """All that the templates ask for."""
    recipe = _load(RECIPES[analysis.language])
    recipe = {**recipe, **recipe.get("frameworks", {}).get(analysis.framework or "", {})}
    jobs = {**_load(RECIPES[analysis.language])["jobs"], **recipe["jobs"]}
    name = str(
        analysis.package_manager if analysis.package_manager in recipe["managers"] else recipe["default_manager"]
    )
    manager = recipe["managers"][name]
    tools = _load("tools")
    source = manager.get("image", recipe["image"]).format(version=analysis.release or recipe["default_version"])
    short = {tool: _short(tools[tool], registry) for tool in ("trivy", "crane", "curl", "semgrep")}
    commands = _one_line_each(analysis.commands)
    install = commands.install or manager["install"]
    test, junit = _tests(commands.test, recipe, jobs["test"])
    below = f"{analysis.root}/" if analysis.root else ""
    prepare = [line for line in (manager.get("tool"), install) if line]
    return {
        "title": " · ".join(filter(None, [recipe["title"], analysis.framework, name])),
        "registry": registry,
        "image": _short(source, registry),
        "dockerfile": recipe["dockerfile"],
        "runtime": "bun" if name == "bun" else "node",
        "variables": manager["variables"],
        "enter": [f"cd {shlex.quote(analysis.root)}"] if analysis.root else [],
        "source": analysis.root or ".",
        "cache_key": [below + (analysis.lockfile or (analysis.manifests or ("Dockerfile",))[0])],
        "cache": manager["cache"],
        "prepare": prepare,
        "compile": _filled([commands.build] if commands.build else jobs["compile"], manager),
        "build_image": _short(tools["builders"][builder]["image"], registry),
        "build": tools["builders"][builder]["script"],
        "test": _filled(test, manager),
        "junit": below + junit if junit else None,
        "sast_image": short[recipe["sast_image"]] if recipe.get("sast_image") else None,
        "sast": jobs["sast"],
        "quality": [commands.lint] if commands.lint else jobs["quality"],
        "quality_needs_dependencies": commands.lint is not None,
        "tools": short,
        "tool": manager.get("tool"),
        "manifests": [below + path for path in _copied(name, install)],
        "install_production": PRODUCTION.get(name, install),
        "build_command": commands.build,
        "serves": commands.start is not None,
        "start": ["sh", "-c", f"exec {commands.start}"],
        "port": analysis.ports[0] if analysis.ports else recipe["port"],
    }


def _one_line_each(commands: Commands) -> Commands:
    """The commands, each as one line of printable text: no text of a repository may end a line of the files."""
    lines = {
        name: "".join(c if c.isprintable() else " " for c in text).strip() or None
        for name, text in commands.model_dump(exclude_none=True).items()
    }
    return Commands.model_validate(lines)


def _instruction(command: str) -> str:
    """The command as a Dockerfile's RUN takes it; in exec form where the lines after it would become part of it."""
    if command.endswith("\\") or "<<" in command:
        return json.dumps(["sh", "-c", command]).replace("<", "\\u003c")
    return command


def _copy(sources: list[str], target: str) -> str:
    """The arguments of COPY; as JSON where a name has characters that the plain form would read otherwise."""
    plain = all(PLAIN_PATH.fullmatch(source) for source in sources)
    return " ".join([*sources, target]) if plain else json.dumps([*sources, target])


def _tests(command: str | None, recipe: dict[str, Any], without: list[str]) -> tuple[list[str], str | None]:
    """The lines of the test job and the JUnit report they leave, if any."""
    if command is None:
        return without, None
    junit = recipe.get("junit")
    tool = recipe.get("test_tools", {}).get(command.split()[0])
    if junit and command.startswith(junit["prefix"]):
        command += junit["option"]
        return [*([tool] if tool else []), command], "junit.xml"
    return [*([tool] if tool else []), command], None


def _copied(manager: str, install: str) -> list[str]:
    """What the dependency layer copies; nothing where the install needs the whole source (`pip install .`)."""
    if manager in MANIFESTS:
        return MANIFESTS[manager]
    return ["requirements*.txt"] if " -r " in f"{install} " and "/" not in install else []


def _filled(lines: list[str], manager: dict[str, Any]) -> list[str]:
    """The lines with the manager's way to run a command in its environment filled in."""
    return [line.replace("{run}", manager["run"]) for line in lines]


def _short(source: str, registry: str) -> str:
    """The image's private name without the registry, which the files name once, as a variable."""
    return private_name(source, registry).removeprefix(f"{registry}/")


_environment.filters["run"] = _instruction
_environment.filters["copy"] = _copy


@cache
def _load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load((HERE / f"{name}.yml").read_text())
    return document
