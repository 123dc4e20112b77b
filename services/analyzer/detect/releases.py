"""Pinned versions: where tools keep them, and which release satisfies what a manifest declares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.analyzer.detect.view import table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from services.analyzer.detect.view import View
    from shared.events import Evidence

# The release lines that have images, the newest first; `lts` and `stable` mean the newest even one of Node.
KNOWN: dict[str, tuple[str, ...]] = {
    "python": ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9", "3.8", "3.7", "2.7"),
    "node": ("24", "22", "20", "18", "16", "14", "12", "10"),
    "ruby": ("3.4", "3.3", "3.2", "3.1", "3.0", "2.7", "2.6"),
    "php": ("8.4", "8.3", "8.2", "8.1", "8.0", "7.4"),
    "go": ("1.25", "1.24", "1.23", "1.22", "1.21", "1.20", "1.19", "1.18", "1.17"),
    "rust": ("1.90", "1.88", "1.85", "1.83", "1.80", "1.75", "1.70"),
    "java": ("21", "17", "11", "8"),
    "elixir": ("1.19", "1.18", "1.17", "1.16", "1.15", "1.14", "1.13"),
    "dotnet": ("10.0", "9.0", "8.0", "7.0", "6.0"),
    "dart": ("3.9", "3.8", "3.7", "3.6", "3.5", "3.3", "2.19"),
    "swift": ("6.2", "6.1", "6.0", "5.10", "5.9", "5.8", "5.7", "5.6", "5.5", "5.4"),
    "gleam": ("1.13", "1.12", "1.11", "1.10"),
}
# https://github.com/nodejs/Release: the code names of the long-term lines.
NODE_LINES = {"krypton": "24", "jod": "22", "iron": "20", "hydrogen": "18", "gallium": "16", "fermium": "14"}
NEWEST = frozenset({"latest", "stable", "lts", "lts/*", "node", "*", "x", "current", "system"})
COMPARATOR = re.compile(r"(\^|~>|~=|~|>=|<=|!=|===|==|>|<|=)?\s*v?(\d+(?:\.(?:\d+|[xX*]))*)(?:[-+.@]?[\w.+-]*)?")
PLAIN = re.compile(r"v?(\d+(?:\.\d+)*)((?:-|\.?(?:rc|beta|alpha|a|b))[\w.]*)?")
PATCH = 9999
# Where buildpacks call a tool otherwise than mise does.
BUILDPACKS = {"python": "cpython", "java": "jvm", "ruby": "mri", "dotnet": "dotnet_framework"}


@dataclass(frozen=True)
class Pin:
    """A version as somebody wrote it, and where."""

    text: str
    evidence: Evidence


def pin(view: View, path: str, text: str | None) -> Pin | None:
    """The pin, if there is a text."""
    return Pin(text, view.evidence(path, text, "version")) if text else None


def first_line(view: View, path: str, prefix: str = "") -> Pin | None:
    """The first line of a file such as `.nvmrc`, without this prefix."""
    lines = view.lines(path)
    return pin(view, path, lines[0].removeprefix(prefix).strip()) if lines else None


def tool(view: View, *names: str) -> Pin | None:
    """What mise, asdf or Railpack are told to install of a tool."""
    for path in ("mise.toml", ".mise.toml", ".config/mise.toml"):
        found = table(view.toml(path), "tools")
        for name in names:
            if text := _told(found.get(name)):
                return pin(view, path, text)
    for line in view.lines(".tool-versions"):
        name, *versions = line.split()
        if name in names and versions:
            return pin(view, ".tool-versions", versions[0])
    packages = table(view.json("railpack.json"), "packages")
    told = next((text for name in names if (text := _told(packages.get(name)))), None)
    return pin(view, "railpack.json", told) or _buildpack(view, *names)


def settled(pins: Iterable[Pin | None]) -> tuple[Pin | None, tuple[str, ...]]:
    """The first pin of all that there are, and a doubt for each later one that is an exact version and another one."""
    found = [one for one in pins if one is not None]
    if not found:
        return None, ()
    chosen, *others = found
    doubts = [
        f"{one.evidence.source} wants {one.text}, {chosen.evidence.source} wants {chosen.text}"
        for one in others
        if _exact(one.text) and _exact(chosen.text) and not _alike(one.text, chosen.text)
    ]
    return chosen, tuple(doubts)


def release(text: str | None, kind: str, named: Collection[str] = ()) -> str | None:
    """A release that satisfies the text: itself where it is exact, else the newest known line that it allows.

    Of `named` lines the newest that it allows, where it allows one: a range without an end says nothing of what came
    after it was written. `kind` is a key of KNOWN. The grammars of npm, Composer, RubyGems, Hex, pub and PEP 440 are
    read alike.
    """
    if text is None:
        return None
    wanted, known = text.strip().lower(), KNOWN.get(kind, ())
    if wanted in NEWEST:
        return known[0] if known else None
    if kind == "node" and wanted.startswith("lts/"):
        return NODE_LINES.get(wanted.removeprefix("lts/"))
    exact = PLAIN.fullmatch(wanted)
    if exact:
        return f"{exact[1]}{exact[2] or ''}"
    parts = re.split(r"\|\|?|\bor\b", wanted)
    allowed = [line for line in known if any(_allows(part, line) for part in parts)]
    return next((line for line in allowed if line in named), next(iter(allowed), None))


def _buildpack(view: View, *names: str) -> Pin | None:
    """The variables by which buildpacks are told a version: BP_NODE_VERSION and the like in project.toml."""
    wanted = {f"BP_{BUILDPACKS.get(name, name).upper()}_VERSION" for name in names}
    document = view.toml("project.toml")
    for holder in (table(document, "io", "buildpacks", "build"), table(document, "build")):
        entries = holder.get("env")
        for entry in entries if isinstance(entries, list) else ():
            if table(entry).get("name") in wanted:
                return pin(view, "project.toml", _told(table(entry).get("value")))
    return None


def _told(value: Any) -> str | None:
    """A tool's version as mise writes it: a text, a number, a list of them, or a table with `version`."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("version")
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _exact(text: str) -> bool:
    return PLAIN.fullmatch(text.strip()) is not None


def _alike(one: str, other: str) -> bool:
    """Whether one version is the other, or its line (`3.12` and `3.12.3`)."""
    numbers = [text.strip().removeprefix("v").split(".") for text in (one, other)]
    return all(a == b for a, b in zip(*numbers, strict=False))


def _allows(part: str, line: str) -> bool:
    """Whether some release of this line satisfies all comparators of one alternative."""
    part = re.sub(r"(\d\S*)\s+-\s+(\S+)", r">=\1 <=\2", part)
    found = COMPARATOR.findall(part)
    candidate = tuple(map(int, line.split(".")))
    return bool(found) and all(_satisfies(candidate, operator, version) for operator, version in found)


def _satisfies(line: tuple[int, ...], operator: str, version: str) -> bool:
    """Whether the newest release of the line stands on the right side of one comparator."""
    bound = [int(number) for number in re.match(r"[\d.]*", version)[0].strip(".").split(".") if number]  # type: ignore[index]
    newest = [*line, *[PATCH] * (len(bound) - len(line))]
    if operator in {">=", ">"}:
        return (
            newest[: len(bound)] >= bound
            if operator == ">=" or len(bound) > len(line)
            else newest[: len(bound)] > bound
        )
    if operator in {"<", "<="}:
        oldest = [*line, *[0] * (len(bound) - len(line))][: len(bound)]
        return oldest < bound or (operator == "<=" and oldest <= bound)
    if operator == "!=":
        return newest[: len(bound)] != bound
    kept = _kept(operator, len(bound), bound)
    same = min(kept, len(line))
    return list(line[:same]) == bound[:same] and newest[: len(bound)] >= bound


def _kept(operator: str, length: int, bound: list[int]) -> int:
    """How many leading numbers an operator holds fast: `^1.2` one, `~1.2.3` two, `~> 1.13` one, `1.2.x` two."""
    if operator == "^":
        return 1 if bound[0] or length == 1 else 2
    if operator in {"~>", "~="}:
        return max(1, length - 1)
    if operator == "~":
        return min(length, 2)
    return length
