"""What the tests of a Python project need beside the project: a file of requirements, an extra, a group, tox's list.

Of a package manager with a lockfile of its own nothing is said here: its install has them already.
"""

from __future__ import annotations

import configparser
import re
import shlex
from typing import TYPE_CHECKING

from services.analyzer.detect import python_manifests as manifests
from services.analyzer.detect.view import table, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from services.analyzer.detect.view import View

NAMES = ("tests", "test", "testing", "dev", "development")
FILES = re.compile(
    r"(?:requirements/|tests?/)?(?:(?:requirements[-_.])?(?P<after>tests?|testing|dev|development)(?:[-_.]requirements)?"
    r"|(?P<inside>requirements))\.(?P<ending>txt|in)"
)
# Conditions and substitutions of tox, which only tox can resolve.
ONLY_TOX = re.compile(r"[{}\[\]]|^[\w,-]+:\s")


def test_install(view: View, manager: str | None, install: str | None) -> str | None:
    """The command that installs what the tests need; None where nothing says so, or the install has it already."""
    if manager not in {"pip", None}:
        return None
    wanted = _file(view) or _extra(view) or _group(view) or _tox(view)
    # Files of requirements do not bring the package itself, which tests beside `src` cannot import otherwise.
    itself = " -r " in (install or "") and _is_built(view) and bool(view.matching(r"src/[^/]+/__init__\.py"))
    words = [*(wanted or ()), *(["."] if itself and "." not in (wanted or ()) else ())]
    command = f"pip install {' '.join(map(shlex.quote, words))}"
    return command if words and command != install else None


def _is_built(view: View) -> bool:
    return "build-system" in view.toml("pyproject.toml") or view.has("setup.py")


def _file(view: View) -> list[str] | None:
    """The file whose name speaks of tests, else of development; one with every version rather than its source."""
    found = [(path, match) for path in view.paths if path.count("/") <= 1 and (match := FILES.fullmatch(path))]
    inside = [path for path, match in found if match["inside"] and path.startswith("test")]
    named = [(NAMES.index(match["after"]), match["ending"] != "txt", path) for path, match in found if match["after"]]
    chosen = next(iter(sorted(inside)), None) or next((path for *_, path in sorted(_of_requirements(named))), None)
    return ["-r", chosen] if chosen else None


def _of_requirements(named: Iterable[tuple[int, bool, str]]) -> Iterable[tuple[int, bool, str]]:
    """Without files such as `tests/dev.txt` or `test.txt` alone, which may be anything."""
    return [one for one in named if "requirements" in one[2]]


def _extra(view: View) -> list[str] | None:
    declared = table(view.toml("pyproject.toml"), "project", "optional-dependencies")
    name = _named(declared) or _named(manifests.extras(view))
    return [f".[{name}]"] if name else None


def _group(view: View) -> list[str] | None:
    groups = table(view.toml("pyproject.toml"), "dependency-groups")
    name = _named(groups)
    return texts(groups[name]) or None if name else None


def _named(declared: Mapping[str, object]) -> str | None:
    return next((name for name in NAMES if name in declared), None)


def _tox(view: View) -> list[str] | None:
    """What tox installs for the tests, as far as it says it without conditions."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(view.text("tox.ini"))
    except configparser.Error:
        return None
    lines = [line.strip() for line in parser.get("testenv", "deps", fallback="").splitlines()]
    plain = [line for line in lines if line and not line.startswith("#") and not ONLY_TOX.search(line)]
    return [word for line in plain for word in _words(line)] or None


def _words(line: str) -> list[str]:
    """A requirement as one word, an option and its file as two."""
    option, _, path = line.partition(" ")
    if option in {"-r", "-c"}:
        return [option, path.strip()]
    return ["-r", line[2:]] if line.startswith("-r") else [line.partition(" #")[0].strip()]
