"""Python: pip, poetry, uv, pdm, pipenv; Django, Flask, FastAPI and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect import python_manifests as manifests
from services.analyzer.detect.project import Ecosystem, framework_of, some, unique, versions
from services.analyzer.detect.python_tests import test_install
from services.analyzer.detect.releases import first_line, pin, tool
from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Dependency, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.releases import Pin
    from services.analyzer.detect.view import View

# Distribution → framework; the first that is a direct dependency counts.
FRAMEWORKS: dict[str, str] = {
    "django": "django",
    "fastapi": "fastapi",
    "python-fasthtml": "fasthtml",
    "litestar": "litestar",
    "starlite": "litestar",
    "sanic": "sanic",
    "quart": "quart",
    "flask": "flask",
    "robyn": "robyn",
    "blacksheep": "blacksheep",
    "falcon": "falcon",
    "bottle": "bottle",
    "pyramid": "pyramid",
    "cherrypy": "cherrypy",
    "masonite": "masonite",
    "web2py": "web2py",
    "starlette": "starlette",
    "tornado": "tornado",
    "streamlit": "streamlit",
    "gradio": "gradio",
    "dash": "dash",
    "nicegui": "nicegui",
    "reflex": "reflex",
    "chainlit": "chainlit",
    "panel": "panel",
    "solara": "solara",
    "shiny": "shiny",
    "apache-airflow": "airflow",
    "dagster": "dagster",
    "prefect": "prefect",
    "scrapy": "scrapy",
    "aiohttp": "aiohttp",
    "celery": "celery",
    "wagtail": "django",
    "djangorestframework": "django",
    "mkdocs": "mkdocs",
    "pelican": "pelican",
    "sphinx": "sphinx",
}
# Servers that many a library or script takes for its client or its loop: a framework only of an application.
ALSO_CLIENTS = frozenset({"aiohttp", "tornado", "celery"})
# Tools of documentation: a framework only where they are what the repository is for.
SITE_GENERATORS = frozenset({"mkdocs", "pelican", "sphinx"})
# Lockfile or manifest → package manager; the first that exists counts.
MANAGERS: tuple[tuple[str, str], ...] = (
    ("uv.lock", "uv"),
    ("poetry.lock", "poetry"),
    ("pdm.lock", "pdm"),
    ("Pipfile.lock", "pipenv"),
    ("Pipfile", "pipenv"),
    ("pixi.lock", "pixi"),
    ("pixi.toml", "pixi"),
    ("environment.yml", "conda"),
    ("environment.yaml", "conda"),
)
INSTALL = {
    "poetry": "poetry install",
    "uv": "uv sync",
    "pdm": "pdm install",
    "pipenv": "pipenv install --dev",
    "conda": "conda env update --file environment.yml",
    "pixi": "pixi install",
}
RUN = {"poetry": "poetry run ", "uv": "uv run ", "pdm": "pdm run ", "pipenv": "pipenv run ", "pixi": "pixi run "}
ENTRY_POINTS = (
    *("manage.py", "app.py", "main.py", "wsgi.py", "asgi.py", "application.py", "server.py", "run.py", "bot.py"),
    *("app/main.py", "src/main.py", "src/app.py", "api/main.py", "app/__init__.py"),
)
PORT = 8000


def detect(view: View) -> Analysis | None:
    """What the folder is as Python; None where nothing says that it is."""
    found = manifests.READS.among(view.top)
    if not found and not view.ending("py"):
        return None
    dependencies = unique(manifests.dependencies(view))
    framework, said = _framework(view, dependencies, found)
    manager, lockfile = _manager(view)
    version = versions("python", _pins(view), manifests.named_releases(view))
    entry_point = view.first(*ENTRY_POINTS)
    runner = _runner(view, framework, dependencies)
    run, install = RUN.get(manager or "", ""), _install(view, manager)
    return Analysis(
        language="python",
        framework=framework,
        **version.fields,
        package_manager=manager,
        lockfile=lockfile,
        build_tool=_build_tool(view),
        dependencies=dependencies,
        commands=Commands(
            install=install,
            test_install=test_install(view, manager, install) if runner else None,
            test=_test(runner, manager, dependencies) if runner else None,
            lint=_lint(view, run, dependencies),
            start=view.web_command() or _start(view, framework, run, entry_point, dependencies),
        ),
        entry_point=entry_point,
        has_tests=runner is not None,
        test_runner=runner,
        manifests=tuple(found),
        evidence=some(said, *version.evidence),
    )


def _framework(
    view: View, dependencies: Iterable[Dependency], sources: list[str]
) -> tuple[str | None, Evidence | None]:
    names = {dependency.name for dependency in dependencies if not dependency.dev}
    left_out = SITE_GENERATORS if view.ending("py") else frozenset()
    left_out |= frozenset() if _is_application(view) else ALSO_CLIENTS
    known = {name: framework for name, framework in FRAMEWORKS.items() if name not in left_out}
    framework, said = framework_of(view, known, names, sources)
    if framework is None and view.has("manage.py"):
        return "django", Evidence(source="manage.py", about="framework")
    if framework is None and view.has("mkdocs.yml") and not view.ending("py"):
        return "mkdocs", Evidence(source="mkdocs.yml", about="framework")
    return framework, said


def _is_application(view: View) -> bool:
    """Whether it is made to be run and not to be installed: nothing builds a package of it, and it has a beginning."""
    built = "build-system" in view.toml("pyproject.toml") or view.has("setup.py")
    return not built and (view.has("Procfile") or view.first(*ENTRY_POINTS) not in {None, "bot.py"})


def _manager(view: View) -> tuple[str | None, str | None]:
    """The package manager and its lockfile, each None where there is none."""
    for path, manager in MANAGERS:
        if view.has(path):
            return manager, path if "lock" in path else None
    pyproject = view.toml("pyproject.toml")
    tools, backend = table(pyproject, "tool"), str(table(pyproject, "build-system").get("build-backend", ""))
    named = next(
        (name for name in ("poetry", "pdm", "uv") if name in tools and (name != "uv" or _managed(tools))), None
    )
    if named or backend.startswith(("poetry", "pdm")):
        return named or backend.partition(".")[0].partition("-")[0], None
    requirements = view.matching(r"(?:requirements/)?[^/]*requirements[^/]*\.(?:txt|in)|requirements/[^/]+\.txt")
    if requirements or view.has("pyproject.toml", "setup.py", "setup.cfg"):
        return "pip", view.first("requirements.txt")
    return None, None


def _managed(tools: dict[str, object]) -> bool:
    """Whether `[tool.uv]` manages the project: it may also only configure `uv pip`."""
    return bool(set(table(tools, "uv")) & {"sources", "dev-dependencies", "workspace", "package", "default-groups"})


def _pins(view: View) -> Iterable[Pin | None]:
    """What says which Python, in the order in which it counts."""
    file = first_line(view, ".python-version", "python-")
    # pyenv takes the name of an environment as well, which is nobody else's.
    yield file if file and re.match(r"v?\d", file.text) else None
    runtime = re.match(r"python-?\s*([\d.]+)", view.text("runtime.txt").strip())
    yield pin(view, "runtime.txt", runtime[1] if runtime else None)
    requires = table(view.toml("Pipfile"), "requires")
    full = requires.get("python_full_version") or requires.get("python_version")
    yield pin(view, "Pipfile", full if isinstance(full, str) else None)
    yield tool(view, "python")
    pyproject = view.toml("pyproject.toml")
    for constraint in (
        table(pyproject, "project").get("requires-python"),
        table(pyproject, "tool", "poetry", "dependencies").get("python"),
    ):
        yield pin(view, "pyproject.toml", constraint if isinstance(constraint, str) else None)
    yield pin(view, "setup.cfg", manifests.setup_cfg(view, "python_requires"))
    yield pin(view, "setup.py", next(iter(manifests.setup_py(view, "python_requires")), None))
    yield pin(view, "environment.yml", manifests.conda_python(view))


def _build_tool(view: View) -> str | None:
    backend = table(view.toml("pyproject.toml"), "build-system").get("build-backend")
    return backend.partition(".")[0] if isinstance(backend, str) else None


def _install(view: View, manager: str | None) -> str | None:
    if manager in INSTALL:
        return INSTALL[manager] + (" --locked" if manager == "uv" and view.has("uv.lock") else "")
    requirements = view.first("requirements.txt", "requirements/base.txt", "requirements/prod.txt")
    if requirements:
        return f"pip install -r {requirements}"
    return "pip install ." if view.has("pyproject.toml", "setup.py", "setup.cfg") else None


_TEST = {
    "pytest": "pytest",
    "django": "python manage.py test",
    "unittest": "python -m unittest discover",
    "tox": "tox",
    "nox": "nox",
}


def _test(runner: str, manager: str | None, dependencies: Iterable[Dependency]) -> str:
    """The command of the tests; uv brings a tool along that its lockfile does not have."""
    declared = any(dependency.name == runner for dependency in dependencies)
    with_it = "--with pytest " if manager == "uv" and runner == "pytest" and not declared else ""
    return f"{RUN.get(manager or '', '')}{with_it}{_TEST[runner]}"


def _runner(view: View, framework: str | None, dependencies: Iterable[Dependency]) -> str | None:
    """What runs the tests; None where there are none."""
    configured = view.has("pytest.ini", "conftest.py") or "pytest" in table(view.toml("pyproject.toml"), "tool")
    if configured or any(dependency.name.startswith("pytest") for dependency in dependencies):
        return "pytest"
    tests = [path for path in view.ending("py") if re.search(r"(?:^|/)(?:test_[^/]*|[^/]*_test|tests?)\.py$", path)]
    if not tests:
        return None
    if framework == "django" and view.has("manage.py"):
        return "django"
    return "pytest" if any(re.search(r"(?:^|/)tests?/", path) for path in tests) else "unittest"


def _lint(view: View, run: str, dependencies: Iterable[Dependency]) -> str | None:
    names = {dependency.name for dependency in dependencies}
    if "ruff" in names and ("ruff" in table(view.toml("pyproject.toml"), "tool") or view.has("ruff.toml")):
        return f"{run}ruff check ."
    return f"{run}flake8" if "flake8" in names and view.has(".flake8", "setup.cfg", "tox.ini") else None


def _start(
    view: View, framework: str | None, run: str, entry_point: str | None, dependencies: Iterable[Dependency]
) -> str | None:
    """How the application is served, where its framework tells."""
    gunicorn = any(dependency.name == "gunicorn" for dependency in dependencies)
    if framework == "django":
        command = _django(view, gunicorn=gunicorn)
    elif entry_point is None or framework is None:
        command = None
    else:
        served = f"gunicorn --bind 0.0.0.0:{PORT} {_module(entry_point)}:app" if gunicorn else None
        asgi = f"uvicorn {_module(entry_point)}:app --host 0.0.0.0 --port {PORT}"
        command = {
            "flask": served or f"flask --app {_module(entry_point)} run --host 0.0.0.0 --port {PORT}",
            "fastapi": asgi,
            "starlette": asgi,
            "litestar": asgi,
            "streamlit": f"streamlit run {entry_point} --server.port {PORT}",
        }.get(framework, f"python {entry_point}")
    return run + command if command else None


def _django(view: View, *, gunicorn: bool) -> str | None:
    wsgi = view.matching(r"[\w]+/wsgi\.py")
    if wsgi and gunicorn:
        return f"gunicorn --bind 0.0.0.0:{PORT} {_module(wsgi[0])}"
    return f"python manage.py runserver 0.0.0.0:{PORT}" if view.has("manage.py") else None


def _module(path: str) -> str:
    """The dotted name of a Python file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


ecosystem = Ecosystem(("python",), manifests.READS, manifests.ROOTS, detect)
