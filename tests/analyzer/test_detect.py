"""What a repository is, from its names and manifests."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer import decide, detect
from shared.events import Analysis
from shared.ports import Snapshot, TreeEntry


def analyzed(files: dict[str, str]) -> Analysis:
    """The analysis of a repository with these files."""
    tree = tuple(TreeEntry(path, len(text.encode())) for path, text in files.items())
    contents = {path: text.encode() for path, text in files.items() if detect.is_manifest(path)}
    return decide.analyze(Snapshot("0" * 40, tree, contents))


def package(**fields: object) -> str:
    """A package.json."""
    return json.dumps({"name": "shop", **fields})


STACKS: dict[str, tuple[dict[str, str], dict[str, object]]] = {
    "flask with pip": (
        {
            "app.py": "x = 1\n",
            "requirements.txt": "Flask==3.1  # web\ngunicorn\n",
            ".python-version": "3.12.42\n",
            "tests/test_app.py": "",
        },
        {
            "language": "python",
            "framework": "flask",
            "version": "3.12.42",
            "package_manager": "pip",
            "entry_point": "app.py",
            "has_tests": True,
            "install": "pip install -r requirements.txt",
            "test": "pytest",
            "start": "gunicorn --bind 0.0.0.0:8000 app:app",
        },
    ),
    "django with poetry": (
        {
            "manage.py": "",
            "shop/wsgi.py": "",
            "poetry.lock": "",
            "pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.10"\nDjango = "^5"\ngunicorn = "*"\n',
        },
        {
            "framework": "django",
            "package_manager": "poetry",
            "lockfile": "poetry.lock",
            "version": "3.14",
            "start": "poetry run gunicorn --bind 0.0.0.0:8000 shop.wsgi",
        },
    ),
    "fastapi with uv": (
        {
            "main.py": "",
            "uv.lock": "",
            "pyproject.toml": '[project]\nrequires-python = ">=3.10,<3.13"\ndependencies = ["fastapi[standard]"]\n',
        },
        {"framework": "fastapi", "package_manager": "uv", "version": "3.12", "install": "uv sync --locked"},
    ),
    "a package whose name only begins like a framework": (
        {"main.py": "", "requirements.txt": "fastapi-ipware\nflask_cors_like\n"},
        {"language": "python", "framework": None},
    ),
    "a library with setup.py": (
        {"setup.py": "deps = ['click>=8']\nsetup(install_requires=deps)\n", "lib/__init__.py": "", "test_lib.py": ""},
        {"language": "python", "install": "pip install .", "test": "python -m unittest discover"},
    ),
    "express with npm": (
        {
            "package.json": package(
                dependencies={"express": "^5"}, main="server.js", engines={"node": ">=18 <23"}, scripts={"test": "jest"}
            ),
            "package-lock.json": "{}",
            "server.js": "",
        },
        {
            "language": "javascript",
            "framework": "express",
            "version": "22",
            "package_manager": "npm",
            "install": "npm ci",
            "test": "npm test",
            "start": "node server.js",
        },
    ),
    "nest with pnpm in TypeScript": (
        {
            "package.json": package(dependencies={"@nestjs/core": "11"}, scripts={"build": "nest", "lint": "eslint"}),
            "pnpm-lock.yaml": "",
            "tsconfig.json": "{}",
            "src/main.ts": "",
            ".nvmrc": "v20.11.1\n",
        },
        {
            "language": "typescript",
            "framework": "nestjs",
            "version": "20.11.1",
            "package_manager": "pnpm",
            "build": "pnpm run build",
            "lint": "pnpm run lint",
        },
    ),
    "the test script that npm init writes": (
        {"package.json": package(scripts={"test": 'echo "Error: no test specified" && exit 1'}), "index.js": ""},
        {"language": "javascript", "test": None, "install": "npm install --no-audit --no-fund"},
    ),
    "next before react": (
        {"package.json": package(dependencies={"react": "19", "next": "15"}, packageManager="yarn@4.5.0")},
        {"framework": "next", "package_manager": "yarn"},
    ),
    "rails": (
        {
            "Gemfile": "ruby '3.3.5'\ngem 'rails', '~> 7.2'\ngroup :test do\n  gem 'rspec'\nend\n",
            "Gemfile.lock": "",
            "config.ru": "",
        },
        {
            "language": "ruby",
            "framework": "rails",
            "version": "3.3.5",
            "package_manager": "bundler",
            "test": "bundle exec rspec",
        },
    ),
    "sinatra": (
        {"Gemfile": "gem 'sinatra'\n", "app.rb": "", ".ruby-version": "ruby-3.2.1\n"},
        {"framework": "sinatra", "version": "3.2.1", "start": "bundle exec ruby app.rb -o 0.0.0.0 -p 3000"},
    ),
    "a Procfile says how it starts": (
        {"Procfile": "release: x\nweb: gunicorn -b :5000 site:app\n", "requirements.txt": "flask\n", "site.py": ""},
        {"start": "gunicorn -b :5000 site:app"},
    ),
    "go is for another issue": ({"go.mod": "module x\n", "main.go": "package main\n"}, {"language": "unknown"}),
    "go with a Python script beside it": (
        {"go.mod": "module x\n", "main.go": "package main\n" * 9, "tool.py": "x\n"},
        {"language": "unknown"},
    ),
}


@pytest.mark.parametrize("name", list(STACKS))
def test_a_stack_is_recognised(name: str) -> None:
    """Language, framework, version, package manager and commands of one kind of repository."""
    files, expected = STACKS[name]
    found = analyzed(files).model_dump()
    found |= found.pop("commands")
    assert {key: found[key] for key in expected} == expected


def test_what_was_found_says_where() -> None:
    """File, line and text of the framework and of the version."""
    found = analyzed({"requirements.txt": "gunicorn\nflask==3.1\n", ".python-version": "# pinned\n3.11\n"})
    assert [(e.source, e.line, e.text) for e in found.evidence] == [
        ("requirements.txt", 2, "flask==3.1"),
        (".python-version", 2, "3.11"),
    ]


def test_dependencies_are_direct_ones_with_their_constraints() -> None:
    """Those of development are marked as such."""
    found = analyzed({"requirements.txt": "Flask>=3,<4\n-r other.txt\n", "requirements-dev.txt": "pytest\n"})
    listed = {(d.name, d.constraint, d.dev) for d in found.dependencies}
    assert listed == {("flask", "<4,>=3", False), ("pytest", "", True)}


def test_languages_are_counted_without_what_others_wrote() -> None:
    """Vendored folders and generated files skew nothing; ports come from an existing Dockerfile."""
    files = {"app.py": "x" * 10, "node_modules/a/index.js": "y" * 999, "static/lib.min.js": "z" * 999}
    found = analyzed({**files, "Dockerfile": "FROM x\nEXPOSE 8080\nEXPOSE 99999\n"})
    assert found.languages == {"python": 10}
    assert (found.ports, found.existing) == ((8080,), ("Dockerfile",))


HOSTILE = ("{" * 100_000, "[" * 100_000, "\x00\xff", "[tool.poetry]\ndependencies = 3", '{"scripts": [], "engines": 3}')


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "path", ["package.json", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "Gemfile", "requirements.txt"]
)
def test_a_hostile_manifest_harms_nothing(path: str, text: str) -> None:
    """Too deep, binary, or of another shape than expected."""
    assert analyzed({path: text, "x.py": ""}).language in {"python", "javascript", "ruby"}


@given(st.dictionaries(st.sampled_from(["package.json", "pyproject.toml", "Gemfile", "setup.cfg"]), st.text()))
def test_no_text_makes_it_fail(files: dict[str, str]) -> None:
    """Whatever stands in the manifests."""
    analyzed(files)
