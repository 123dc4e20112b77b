"""Which program a log misses, and how it is had: the table is `programs.yml` beside."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME = r"['\"`\u2018]?(?P<name>[\w./+-]{1,80})['\"`\u2019]?"
_SAID = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:^|[\s:]){_NAME}: (?:command )?not found",
        rf"exec: {_NAME}: executable file not found",
        rf"env: {_NAME}: No such file or directory",
        rf"spawn {_NAME} ENOENT",
        rf"failed to spawn: {_NAME}",
        rf"no such (?:sub)?command: {_NAME}",
        r"'(?P<name>cargo-\w+|rustfmt|clippy-driver)(?:\.exe)?' is not installed",
        rf"^make(?:\[\d+\])?: {_NAME}: No such file or directory",
        rf"No module named {_NAME}$",
        rf"Command {_NAME} not found",
        rf"No such file or directory: {_NAME}$",
        r"(?P<name>JAVA)_HOME (?:is not (?:set|defined)|environment variable is not defined)",
        rf"Unable to find {_NAME} executable",
        rf"Could not find executable {_NAME}",
        rf"executable {_NAME} not found",
    )
)


class Program(NamedTuple):
    """One program and its ways: commands by toolchain of the image, packages by package manager, images with it."""

    names: tuple[str, ...]
    commands: Mapping[str, str]
    packages: Mapping[str, str]
    recipe: str = ""
    manager: str = ""
    tool: str = ""


@cache
def programs() -> dict[str, Program]:
    """Every program of the table by each of its names."""
    rows = yaml.safe_load((Path(__file__).parent / "programs.yml").read_text())
    known = [
        Program(
            tuple(row["names"]),
            row.get("commands", {}),
            row.get("packages", {}),
            row.get("recipe", ""),
            row.get("manager", ""),
            row.get("tool", ""),
        )
        for row in rows
    ]
    return {name: program for program in known for name in program.names}


def missing_program(lines: Iterable[str]) -> tuple[str, str] | None:
    """The name of the program that lines of a log miss, and the line; the last line that says so counts."""
    for line in reversed(list(lines)):
        for said in _SAID:
            found = said.search(line)
            if found:
                name = found["name"]
                return ("java" if name == "JAVA" else name), line
    return None
