"""Python: pip, poetry, uv, pipenv; Django, Flask, FastAPI and the others."""

from __future__ import annotations

import ast
import configparser
import re
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from services.analyzer.detect.view import table, texts
from shared.events import Analysis, Commands, Dependency, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

LANGUAGES = ("python",)
KNOWN_VERSIONS = ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9", "3.8", "3.7", "2.7")
MANIFESTS = frozenset(
    {"pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "Pipfile.lock", ".python-version", "runtime.txt"}
    | {"pytest.ini", "tox.ini", "environment.yml"}
)
REQUIREMENTS = re.compile(r"(?:.*[-_])?requirements(?:[-_.].*)?\.(?:txt|in)")
DEVELOPMENT = re.compile(r"dev|test|lint|doc|ci", re.IGNORECASE)
# Distribution → framework; the first that is a direct dependency counts.
FRAMEWORKS: dict[str, str] = {
    "django": "django",
    "fastapi": "fastapi",
    "flask": "flask",
    "litestar": "litestar",
    "sanic": "sanic",
    "tornado": "tornado",
    "quart": "quart",
    "falcon": "falcon",
    "bottle": "bottle",
    "pyramid": "pyramid",
    "starlette": "starlette",
    "aiohttp": "aiohttp",
    "streamlit": "streamlit",
    "celery": "celery",
}
# Lockfile or manifest → package manager; the first that exists counts.
MANAGERS: tuple[tuple[str, str], ...] = (
    ("poetry.lock", "poetry"),
    ("uv.lock", "uv"),
    ("pdm.lock", "pdm"),
    ("Pipfile.lock", "pipenv"),
    ("Pipfile", "pipenv"),
)
INSTALL = {
    "poetry": "poetry install",
    "uv": "uv sync",
    "pdm": "pdm install",
    "pipenv": "pipenv install --dev",
}
ENTRY_POINTS = ("manage.py", "app.py", "main.py", "wsgi.py", "asgi.py", "application.py", "server.py", "run.py")
RUN = {"poetry": "poetry run ", "uv": "uv run ", "pdm": "pdm run ", "pipenv": "pipenv run "}
PORT = 8000


def is_manifest(name: str) -> bool:
    """Whether a file of this name is read."""
    return name in MANIFESTS or REQUIREMENTS.fullmatch(name) is not None


def detect(view: View) -> Analysis | None:
    """What the repository is as Python; None where nothing says that it is."""
    manifests = [path for path in sorted(view.paths) if "/" not in path and is_manifest(path)]
    if not manifests and not view.matching(r"[^/]+\.py"):
        return None
    dependencies = tuple(_unique(_dependencies(view)))
    framework, said = _framework(view, dependencies)
    manager, lockfile = _manager(view)
    version, pinned = _version(view)
    entry_point = view.first(*ENTRY_POINTS)
    tests = bool(view.matching(r"(?:.*/)?(?:test_[^/]*|[^/]*_test)\.py|(?:.*/)?tests?\.py"))
    return Analysis(
        language="python",
        framework=framework,
        version=version,
        package_manager=manager,
        lockfile=lockfile,
        dependencies=dependencies,
        commands=Commands(
            install=_install(view, manager),
            test=_test(view, framework, manager, dependencies, has_tests=tests),
            start=view.web_command() or _start(view, framework, manager, entry_point, dependencies),
        ),
        entry_point=entry_point,
        has_tests=tests,
        manifests=tuple(manifests),
        evidence=tuple(filter(None, (said, pinned))),
    )


def _framework(view: View, dependencies: Iterable[Dependency]) -> tuple[str | None, Evidence | None]:
    names = {dependency.name for dependency in dependencies if not dependency.dev}
    for name, framework in FRAMEWORKS.items():
        if name in names:
            source = next((path for path in sorted(view.paths) if is_manifest(path) and name in view.text(path)), "")
            return framework, view.evidence(source, name)
    if view.has("manage.py"):
        return "django", Evidence(source="manage.py")
    return None, None


def _manager(view: View) -> tuple[str, str | None]:
    """The package manager and its lockfile, which is None where there is none."""
    for path, manager in MANAGERS:
        if view.has(path):
            return manager, path if path != "Pipfile" else None
    tools = table(view.toml("pyproject.toml"), "tool")
    manager = next((name for name in ("poetry", "uv", "pdm") if name in tools), "pip")
    return manager, view.first("requirements.txt") if manager == "pip" else None


def _version(view: View) -> tuple[str | None, Evidence | None]:
    """The version as it is pinned, else the newest known one that a constraint allows; with where it stands."""
    pyproject, pipfile = view.toml("pyproject.toml"), view.toml("Pipfile")
    runtime = re.match(r"python-?\s*([\d.]+)", view.text("runtime.txt").strip())
    first = view.lines(".python-version")[:1]
    requires = table(pipfile, "requires")
    pins = (
        (".python-version", first[0].removeprefix("python-") if first else None),
        ("runtime.txt", runtime[1] if runtime else None),
        ("Pipfile", requires.get("python_full_version") or requires.get("python_version")),
        (".tool-versions", view.tool_version("python")),
    )
    for source, pin in pins:
        if isinstance(pin, str) and re.fullmatch(r"\d+(\.\d+){0,2}\S*", pin):
            return pin, view.evidence(source, pin)
    constraints = (
        table(pyproject, "project").get("requires-python"),
        table(pyproject, "tool", "poetry", "dependencies").get("python"),
    )
    for constraint in constraints:
        if isinstance(constraint, str) and (newest := _newest(constraint)):
            return newest, view.evidence("pyproject.toml", constraint)
    return None, None


def _newest(constraint: str) -> str | None:
    """The newest known version that a specifier allows; poetry's caret is understood (`^3.9` is `>=3.9,<4`)."""
    caret = re.fullmatch(r"[\^~]\s*(\d+)(\.\d+)*", constraint.strip())
    if caret:
        constraint = f">={constraint.strip()[1:].strip()},<{int(caret[1]) + 1}"
    try:
        allowed = SpecifierSet(constraint)
    except InvalidSpecifier:
        return None
    return next((version for version in KNOWN_VERSIONS if allowed.contains(f"{version}.99")), None)


def _dependencies(view: View) -> Iterable[Dependency]:
    """Direct dependencies of every manifest at the root."""
    for path in view.matching(r"[^/]+\.(?:txt|in)|requirements/[^/]+\.txt"):
        if REQUIREMENTS.fullmatch(path.rpartition("/")[2]) or path.startswith("requirements/"):
            yield from _parsed(view.lines(path), dev=bool(DEVELOPMENT.search(path)))
    pyproject = view.toml("pyproject.toml")
    project = table(pyproject, "project")
    yield from _parsed(texts(project.get("dependencies")), dev=False)
    for groups in (table(project, "optional-dependencies"), table(pyproject, "dependency-groups")):
        for group in groups.values():
            yield from _parsed(texts(group), dev=True)
    poetry = table(pyproject, "tool", "poetry")
    yield from _table(table(poetry, "dependencies"), dev=False)
    for group in table(poetry, "group").values():
        yield from _table(table(group, "dependencies"), dev=True)
    yield from _table(table(poetry, "dev-dependencies"), dev=True)
    pipfile = view.toml("Pipfile")
    yield from _table(table(pipfile, "packages"), dev=False)
    yield from _table(table(pipfile, "dev-packages"), dev=True)
    yield from _parsed(_setup_cfg(view), dev=False)
    yield from _parsed(_setup_py(view), dev=False)


def _parsed(lines: Iterable[str], *, dev: bool) -> Iterable[Dependency]:
    """Requirements (PEP 508); options, paths and URLs without a name are no dependencies that can be named."""
    for line in lines:
        try:
            requirement = Requirement(line.split(" --", 1)[0])
        except InvalidRequirement:
            continue
        yield Dependency(name=canonicalize_name(requirement.name), constraint=str(requirement.specifier), dev=dev)


def _table(entries: dict[str, object], *, dev: bool) -> Iterable[Dependency]:
    for name, constraint in entries.items():
        if name.lower() != "python":
            said = constraint if isinstance(constraint, str) else str(table(constraint).get("version", ""))
            yield Dependency(name=canonicalize_name(name), constraint=said, dev=dev)


def _setup_cfg(view: View) -> list[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(view.text("setup.cfg"))
    except configparser.Error:
        return []
    return parser.get("options", "install_requires", fallback="").splitlines()


def _setup_py(view: View) -> list[str]:
    """`install_requires` of a setup.py where it is a literal list; the file is parsed, never run."""
    try:
        tree = ast.parse(view.text("setup.py"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lists = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            value = lists.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
            items = value.elts if isinstance(value, ast.List | ast.Tuple) else []
            return [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return []


def _unique(dependencies: Iterable[Dependency]) -> list[Dependency]:
    """Each name once; where it is needed at run time, that counts."""
    found: dict[str, Dependency] = {}
    for dependency in dependencies:
        if dependency.name not in found or (found[dependency.name].dev and not dependency.dev):
            found[dependency.name] = dependency
    return list(found.values())


def _install(view: View, manager: str) -> str | None:
    if manager in INSTALL:
        locked = " --locked" if manager == "uv" and view.has("uv.lock") else ""
        return INSTALL[manager] + locked
    requirements = view.first("requirements.txt", "requirements/base.txt", "requirements/prod.txt")
    if requirements:
        return f"pip install -r {requirements}"
    return "pip install ." if view.has("pyproject.toml", "setup.py", "setup.cfg") else None


def _test(
    view: View, framework: str | None, manager: str, dependencies: Iterable[Dependency], *, has_tests: bool
) -> str | None:
    run = RUN.get(manager, "")
    configured = view.has("pytest.ini") or "pytest" in table(view.toml("pyproject.toml"), "tool")
    if configured or any(dependency.name.startswith("pytest") for dependency in dependencies):
        return f"{run}pytest"
    if not has_tests:
        return None
    if framework == "django" and view.has("manage.py"):
        return f"{run}python manage.py test"
    return f"{run}pytest" if view.matching(r"tests?/.*\.py") else f"{run}python -m unittest discover"


def _start(
    view: View, framework: str | None, manager: str, entry_point: str | None, dependencies: Iterable[Dependency]
) -> str | None:
    """How the application is served, where its framework tells."""
    names = {dependency.name for dependency in dependencies}
    run, bind = RUN.get(manager, ""), f"--bind 0.0.0.0:{PORT}"
    module = entry_point.removesuffix(".py") if entry_point else None
    if framework == "django":
        wsgi = view.matching(r"[\w]+/wsgi\.py")
        if wsgi and "gunicorn" in names:
            return f"{run}gunicorn {bind} {wsgi[0].removesuffix('.py').replace('/', '.')}"
        return f"{run}python manage.py runserver 0.0.0.0:{PORT}" if view.has("manage.py") else None
    if module is None:
        return None
    if framework == "flask":
        served = f"gunicorn {bind} {module}:app" if "gunicorn" in names else None
        return run + (served or f"flask --app {module} run --host 0.0.0.0 --port {PORT}")
    if framework in {"fastapi", "starlette", "litestar"}:
        return f"{run}uvicorn {module}:app --host 0.0.0.0 --port {PORT}"
    scripts = {"streamlit": f"streamlit run {entry_point} --server.port {PORT}"}
    return run + scripts.get(framework, f"python {entry_point}") if framework else None
