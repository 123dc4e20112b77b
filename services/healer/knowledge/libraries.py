"""Which system library or build tool a log misses, and its packages: the table is `libraries.yml` beside."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# How each kind of tool says that it misses something of a name.
_WAYS: dict[str, tuple[str, ...]] = {
    "header": (
        r"(?:{0})['\"]?: No such file",
        r"['\"<](?:{0})['\">] (?:file )?not found",
        r"checking for (?:{0})\.{{3}} no$",
    ),
    "link": (
        r"cannot find -l(?:{0})(?![\w-])",
        r"library '?(?:{0})'? not found",
        r"library not found for -l(?:{0})(?![\w-])",
    ),
    "config": (
        r"(?:[Pp]ackage|[Dd]ependency) ['\"`]?(?:{0})['\"`]?,? (?:was not found|required by|not found|, required)",
        r"No package ['\"](?:{0})['\"] found",
        r"The system library `(?:{0})` required by",
        r"Dependency lookup for (?:{0}) with",
        r"[Rr]un-time dependency (?:{0}) found: NO",
        r"None of the required '(?:{0})' found",
    ),
    "cmake": (r"Could (?:NOT|not) find (?:a package configuration file provided by \")?(?:{0})(?!\w)",),
    "so": (
        r"(?:{0})\.so[.\d]*: cannot open shared object file",
        r"Error loading shared library (?:{0})\.so",
    ),
}


class Library(NamedTuple):
    """One library: what is said where it is missing, and its packages by package manager.

    `packages` are those to build with, `run` those that what was built with it needs where it runs.
    """

    name: str
    pattern: re.Pattern[str]
    packages: Mapping[str, str]
    run: Mapping[str, str]


@cache
def libraries() -> tuple[Library, ...]:
    """Every library of the table."""
    rows = yaml.safe_load((Path(__file__).parent / "libraries.yml").read_text())
    return tuple(Library(row["name"], _pattern(row), row["packages"], row.get("run", {})) for row in rows)


def missing_in(lines: Iterable[str]) -> tuple[Library, str] | None:
    """The library that lines of a log miss, and the line; the first library of the table that any line names."""
    said = list(lines)
    for library in libraries():
        line = next((line for line in reversed(said) if library.pattern.search(line)), None)
        if line is not None:
            return library, line
    return None


def _pattern(row: Mapping[str, Any]) -> re.Pattern[str]:
    named = [way.format(row[kind]) for kind, ways in _WAYS.items() if kind in row for way in ways]
    return re.compile("|".join(f"(?:{one})" for one in [*named, *row.get("says", ())]))
