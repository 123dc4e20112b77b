"""The broken pipelines: which stack, what is broken, what the world is like, and what class of failure that is."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from bench.broken.world import World
from shared.ci.images import images_of
from tests.healer.failing import STACKS, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.events import Analysis, Files


class Broken(NamedTuple):
    """One broken pipeline; `heals` says whether a change of the pipeline can mend it."""

    name: str
    stack: str
    error_class: str
    files: Files
    world: World
    heals: bool = True

    @property
    def analysis(self) -> Analysis:
        """What the repository is."""
        return STACKS[self.stack]


# What a tool says where the image has not the version that it wants: {wanted} is found in CI_JOB_IMAGE, or it fails.
_VERSION = "case $CI_JOB_IMAGE in *{wanted}*) exit 0;; esac; printf '%s\\n' {words}; exit 1"
# The build of the image is another machine.
_IN_A_JOB = '[ -n "$IN_IMAGE" ] && exit 0'
_LIBRARY = "[ -e \"$STATE/{package}\" ] && exit 0; printf '%s\\n' {words}; exit 1"


@cache
def _table() -> dict[str, list[dict[str, str]]]:
    table: dict[str, list[dict[str, str]]] = yaml.safe_load((Path(__file__).parent / "failures.yml").read_text())
    return table


def _rows(kind: str) -> list[tuple[str, ...]]:
    """The rows of one kind, each with its values in their order."""
    return [tuple(row.values()) for row in _table()[kind]]


def cases() -> Iterator[Broken]:
    """Every broken pipeline."""
    yield from _tools()
    yield from _programs()
    yield from _permissions()
    yield from _files()
    for stack, host, words in _rows("services"):
        body = f"{_IN_A_JOB}; case \" $SERVICES \" in *' {host} '*) exit 0;; esac; printf '%s\\n' {words}; exit 1"
        tool = "npm" if stack == "node" else "pytest"
        body = f'[ "$1" = test ] || exit 0; {body}' if tool == "npm" else body
        yield Broken(f"service {host} of {stack}", stack, "service_connection", rendered(stack), World({tool: body}))
    for stack, tool, words, error_class in _rows("reported"):
        world = World({tool: f"[ -n \"$IN_IMAGE\" ] && exit 0; printf '%s\\n' {words}; exit 1"})
        yield Broken(f"{error_class} of {stack}", stack, error_class, rendered(stack), world, heals=False)


def _tools() -> Iterator[Broken]:
    """Stand-ins that want another version, a library, another way of installing, more memory."""
    for stack, tool, wanted, words, error_class in _rows("versions"):
        wrappers = {"gradlew": "gradle"} if tool == "gradle" else {}
        world = World({tool: _VERSION.format(wanted=wanted, words=words)}, wrappers=wrappers)
        yield Broken(f"version of {tool} in {stack}: {wanted}", stack, error_class, rendered(stack), world)
    for stack, tool, package, words in _rows("libraries"):
        world = World({tool: _LIBRARY.format(package=package, words=words)})
        if tool == "pip":
            world = World(
                {tool: f"[[ $* == *ruff* || $* == *bandit* || $* == *pytest* ]] && exit 0; {world.tools[tool]}"}
            )
        # What is not found as a command is told as one.
        told = "missing_command" if "mysql_config" in words or "cgo" in words else "build_failure"
        yield Broken(f"library {package} in {stack}", stack, told, rendered(stack), world)
    for stack, tool, when, words in _rows("locks"):
        world = World({tool: f"if {when}; then printf '%s\\n' {words}; exit 1; fi"})
        yield Broken(f"lock file of {tool}", stack, "dependency_resolution", rendered(stack), world)
    for stack, tool, command, step, words in _rows("before"):
        mark = command.replace(" ", "_")
        body = f"""[[ "$*" == "{command}"* ]] && touch "$STATE/{mark}"
[[ "$1" == {step}* && ! -e "$STATE/{mark}" ]] || exit 0
printf '%s\\n' {words}; exit 1"""
        yield Broken(
            f"lock file of {tool}: {command}", stack, "dependency_resolution", rendered(stack), World({tool: body})
        )
    for stack, tool, enough, words in _rows("memory"):
        # The build of the image has the memory of its host.
        body = f'[ -n "$IN_IMAGE" ] && exit 0; [ "$1" = mod ] || {enough} && exit 0; printf \'%s\\n\' {words}; exit 1'
        yield Broken(f"memory of {tool}", stack, "out_of_memory", rendered(stack), World({tool: body}))


def _programs() -> Iterator[Broken]:
    """A step that calls what the image has not."""
    for stack, program in _rows("commands"):
        files = rendered(stack)
        if program != "pnpm":
            files = files.model_copy(update={"pipeline": _with_step(files.pipeline, f"{program} --version")})
            world = World(absent=(program,))
        else:
            files = files.model_copy(update={"pipeline": files.pipeline.replace('    - "corepack enable"\n', "")})
            world = World(absent=("pnpm",))
        yield Broken(f"program {program} in {stack}", stack, "missing_command", files, world)


def _permissions() -> Iterator[Broken]:
    """Files without their bit, folders of root, installations by a user."""
    script = {
        "gradlew": "#!/bin/sh\nexit 0\n",
        "build.sh": "#!/bin/sh\nexit 0\n",
        "scripts/ci.sh": "#!/bin/sh\nexit 0\n",
    }
    yield Broken("wrapper without its bit", "gradle", "permission_error", rendered("gradle"), World(folder=script))
    for stack, path in (
        ("python", "./build.sh"),
        ("node", "scripts/ci.sh"),
        ("go", "./build.sh"),
        ("make", "./build.sh"),
    ):
        files = rendered(stack)
        files = files.model_copy(update={"pipeline": _with_step(files.pipeline, path)})
        yield Broken(f"{path} without its bit in {stack}", stack, "permission_error", files, World(folder=script))
    for stack, tool in (("python", "pip"), ("node", "npm")):
        files = rendered(stack)
        docker = files.dockerfile.replace("WORKDIR /app\n", "WORKDIR /app\nUSER 10001\n", 1)
        body = """[ "${USER_NOW:-root}" = root ] || [[ $OWNED == *"chown -R 10001 /app"* ]] && exit 0
printf '%s\\n' "npm ERR! Error: EACCES: permission denied, mkdir '/app/node_modules'"; exit 1"""
        world = World({tool: body, "chown": "exit 0", "mkdir": "exit 0"})
        yield Broken(
            f"user of the Dockerfile in {stack}",
            stack,
            "permission_error",
            files.model_copy(update={"dockerfile": docker}),
            world,
        )
    files = rendered("ruby")
    docker = files.dockerfile.replace(
        "WORKDIR /app\n", "WORKDIR /app\nUSER 10001\nRUN apt-get update && apt-get install -y git\nUSER root\n", 1
    )
    yield Broken("apt by a user", "ruby", "permission_error", files.model_copy(update={"dockerfile": docker}), World())
    body = f"""{_IN_A_JOB}; [ "$HOME" = /tmp ] && exit 0; [ "$1" = test ] || exit 0
printf '%s\\n' "npm ERR! Error: EACCES: permission denied, mkdir '/.npm'"; exit 1"""
    yield Broken("home of npm", "node", "permission_error", rendered("node"), World({"npm": body}))


def _files() -> Iterator[Broken]:
    """YAML, stages, needs, tags, times, artifacts, paths."""
    for stack in ("python", "node", "go", "maven"):
        good = rendered(stack)
        for name, old, new, error_class in (
            ("tabs", "  stage: sast", "\tstage: sast", "yaml_syntax"),
            ("a misspelt stage", "stage: sast", "stage: sats", "invalid_stage"),
            ("a stage that is not declared", "test, sast, quality", "test, quality", "invalid_stage"),
        ):
            broken = good.model_copy(update={"pipeline": good.pipeline.replace(old, new, 1)})
            yield Broken(f"{name} in {stack}", stack, error_class, broken, World())
    for stack in ("python", "node"):
        good = rendered(stack)
        yield Broken(f"time of {stack}", stack, "timeout_error", good, World(takes={"test": 45}))
        docker = good.dockerfile.replace("COPY requirements*.txt", "COPY requirements*.txt extra.txt").replace(
            "COPY package.json", "COPY package.json extra.txt"
        )
        world = World(folder={"!extra.txt": ""})
        yield Broken(
            f"a file that {stack} copies", stack, "build_failure", good.model_copy(update={"dockerfile": docker}), world
        )
    body = '[ "$1" = test ] || exit 0; case " $HANDED " in *dist/*) exit 0;; esac\n'
    body += "printf '%s\\n' \"Error: ENOENT: no such file or directory, open 'dist/app.js'\"; exit 1"
    yield Broken("nobody keeps dist", "node", "artifact_missing", rendered("node"), World({"npm": body}))
    yield Broken(
        "nobody keeps dist, pnpm",
        "pnpm",
        "artifact_missing",
        rendered("pnpm"),
        World({"node": body.replace('[ "$1" = test ] || exit 0; ', "")}),
    )
    for stack, old, new in (
        ("python", "python:3.9-slim", "python:3.9.77-slim"),
        ("node", "node:16-slim", "node:16-slin"),
    ):
        good = rendered(stack)
        broken = type(good)(pipeline=good.pipeline.replace(old, new), dockerfile=good.dockerfile.replace(old, new))
        there = frozenset(use.reference for use in images_of(good))
        yield Broken(f"tag {new}", stack, "image_not_found", broken, World(tags=there))


def _with_step(pipeline: str, command: str) -> str:
    """The pipeline whose job `compile` has one more step at its beginning."""
    before, found, after = pipeline.partition("\ncompile:\n")
    head, script, rest = after.partition("  script:\n")
    return f"{before}{found}{head}{script}    - {command}\n{rest}"
