"""The manifests of Python: requirements, pyproject.toml, Pipfile, setup.cfg, setup.py, conda's environment.

Nothing is run: setup.py is parsed.
"""

from __future__ import annotations

import ast
import configparser
import re
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from services.analyzer.detect.project import Names
from services.analyzer.detect.view import table, texts
from shared.events import Dependency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

PROJECT = frozenset({"pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "requirements.txt", "manage.py"})
NAMES = PROJECT | {"Pipfile.lock", ".python-version", "runtime.txt", "pytest.ini", "tox.ini", "mkdocs.yml"}
NAMES |= {"environment.yml", "environment.yaml", "pixi.toml"}
REQUIREMENTS = re.compile(r"(?:.*[-_])?requirements(?:[-_.].*)?\.(?:txt|in)")
CONDA = re.compile(r"([\w.-]*)(.*)", re.DOTALL)
READS, ROOTS = Names(NAMES, pattern=REQUIREMENTS), Names(PROJECT)
CLASSIFIER = re.compile(r"Programming Language :: Python :: (\d+\.\d+)")
MAX_REQUIREMENT = 2000
DEVELOPMENT = re.compile(r"dev|test|lint|doc|ci", re.IGNORECASE)


def dependencies(view: View) -> Iterable[Dependency]:
    """Direct dependencies of every manifest of the folder."""
    for path in view.matching(r"[^/]+\.(?:txt|in)|requirements/[^/]+\.(?:txt|in)"):
        if REQUIREMENTS.fullmatch(path.rpartition("/")[2]) or path.startswith("requirements/"):
            yield from _parsed(view.lines(path), dev=bool(DEVELOPMENT.search(path)))
    yield from _pyproject(view)
    pipfile = view.toml("Pipfile")
    yield from _table(table(pipfile, "packages"), dev=False)
    yield from _table(table(pipfile, "dev-packages"), dev=True)
    yield from _parsed((setup_cfg(view, "install_requires") or "").splitlines(), dev=False)
    yield from _parsed(setup_py(view, "install_requires"), dev=False)
    for group in extras(view).values():
        yield from _parsed(group, dev=True)
    yield from _conda(view)


def _pyproject(view: View) -> Iterable[Dependency]:
    document = view.toml("pyproject.toml")
    project = table(document, "project")
    yield from _parsed(texts(project.get("dependencies")), dev=False)
    for groups in (table(project, "optional-dependencies"), table(document, "dependency-groups")):
        for group in groups.values():
            yield from _parsed(texts(group), dev=True)
    tools = table(document, "tool")
    for group in table(tools, "pdm", "dev-dependencies").values():
        yield from _parsed(texts(group), dev=True)
    yield from _parsed(texts(table(tools, "uv").get("dev-dependencies")), dev=True)
    poetry = table(tools, "poetry")
    yield from _table(table(poetry, "dependencies"), dev=False)
    for group in table(poetry, "group").values():
        yield from _table(table(group, "dependencies"), dev=True)
    yield from _table(table(poetry, "dev-dependencies"), dev=True)


def setup_cfg(view: View, key: str) -> str | None:
    """A value of the section `[options]` of setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(view.text("setup.cfg"))
    except configparser.Error:
        return None
    return parser.get("options", key, fallback="").strip() or None


def setup_py(view: View, argument: str) -> list[str]:
    """The texts of an argument of `setup()` where it is a literal, or a name for one."""
    value = _argument(view, argument)
    items = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    return [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def _argument(view: View, argument: str) -> ast.expr | None:
    """The value of an argument of `setup()`, looked up where it is a name; None where there is none."""
    if argument not in view.text("setup.py"):
        return None
    try:
        tree = ast.parse(view.text("setup.py"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    named = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == argument:
            return named.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
    return None


def extras(view: View) -> dict[str, list[str]]:
    """The extras of setup.cfg and setup.py with their requirements; those of setup.py empty where it computes them."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(view.text("setup.cfg"))
    except configparser.Error:
        parser = configparser.ConfigParser()
    section = "options.extras_require"
    found = (
        {name: parser.get(section, name).split("\n") for name in parser.options(section)}
        if parser.has_section(section)
        else {}
    )
    value = _argument(view, "extras_require")
    keys = value.keys if isinstance(value, ast.Dict) else ()
    return found | {key.value: [] for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def named_releases(view: View) -> frozenset[str]:
    """The lines of Python that the project's classifiers name (`3.12`)."""
    listed = texts(table(view.toml("pyproject.toml"), "project").get("classifiers"))
    listed += [*texts(table(view.toml("pyproject.toml"), "tool", "poetry").get("classifiers"))]
    listed += [*setup_py(view, "classifiers"), *view.lines("setup.cfg")]
    return frozenset(found[1] for line in listed if (found := CLASSIFIER.fullmatch(line.strip())))


def conda_python(view: View) -> str | None:
    """The version of Python in conda's environment."""
    for entry in texts(view.yaml("environment.yml").get("dependencies")):
        found = re.fullmatch(r"python\s*([<>=!~]*)\s*([\d.*]+)", entry.strip())
        if found:
            return found[2] if found[1] in {"", "=", "=="} else f"{found[1]}{found[2]}"
    return None


def _conda(view: View) -> Iterable[Dependency]:
    entries = view.yaml("environment.yml").get("dependencies")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield from _parsed(texts(entry.get("pip")), dev=False)
        elif isinstance(entry, str):
            name, constraint = CONDA.fullmatch(entry.rpartition("::")[2].strip()).groups()  # type: ignore[union-attr]
            if name and name not in {"python", "pip"}:
                yield Dependency(name=canonicalize_name(name), constraint=constraint.strip())


def _parsed(lines: Iterable[str], *, dev: bool) -> Iterable[Dependency]:
    """Requirements (PEP 508); options, paths and URLs without a name are no dependencies that can be named."""
    for line in lines:
        if len(line) > MAX_REQUIREMENT:
            continue
        try:
            requirement = Requirement(line.split(" --", 1)[0].rstrip("\\ "))
        except InvalidRequirement:
            continue
        yield Dependency(name=canonicalize_name(requirement.name), constraint=str(requirement.specifier), dev=dev)


def _table(entries: dict[str, object], *, dev: bool) -> Iterable[Dependency]:
    for name, constraint in entries.items():
        if name.lower() != "python":
            said = constraint if isinstance(constraint, str) else str(table(constraint).get("version", ""))
            yield Dependency(name=canonicalize_name(name), constraint=said, dev=dev)
