"""What a repository is, from its names and manifests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer import decide
from services.analyzer.detect.releases import KNOWN, release
from shared.events import Analysis
from tests.analyzer.conftest import snapshot_of
from tests.analyzer.stacks import STACKS, package

_POM = "<project><dependency><groupId>{}</groupId><artifactId>{}</artifactId></dependency></project>"


def analyzed(files: dict[str, str], folder: str = "") -> Analysis:
    """The analysis of a repository with these files, or of one folder of it."""
    return decide.analyze(snapshot_of(files), folder)


@pytest.mark.parametrize("name", list(STACKS))
def test_a_stack_is_recognised(name: str) -> None:
    """Language, framework, version, package manager and commands of one kind of repository."""
    files, expected = STACKS[name]
    found = analyzed(files).model_dump()
    found |= found.pop("commands")
    assert {key: found[key] for key in expected} == expected


def test_what_was_found_says_where() -> None:
    """File, line and text of each thing that was found."""
    found = analyzed({"requirements.txt": "gunicorn\nflask==3.1\n", ".python-version": "# pinned\n3.11\n"})
    assert [(e.about, e.source, e.line, e.text) for e in found.evidence] == [
        ("language", "requirements.txt", None, ""),
        ("package_manager", "requirements.txt", None, ""),
        ("framework", "requirements.txt", 2, "flask==3.1"),
        ("version", ".python-version", 2, "3.11"),
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


_TOX = "[testenv]\ndeps =\n    {{[base]deps}}\n    py38: six\n    pytest\n    sh >= 2, <3\ncommands = pytest\n"
_BUILT = '[build-system]\nrequires = ["hatchling"]\n[project]\nname = "x"\n'
TESTS_NEED: dict[str, tuple[dict[str, str], str | None]] = {
    "a file for tests before one for development": (
        {"requirements/tests.txt": "pytest\n", "requirements/tests.in": "pytest\n", "requirements/dev.txt": ""},
        "pip install -r requirements/tests.txt",
    ),
    "a file beside the tests": ({"tests/requirements.txt": "pytest\n"}, "pip install -r tests/requirements.txt"),
    "a file for development": ({"requirements-dev.txt": "pytest\n"}, "pip install -r requirements-dev.txt"),
    "an extra": (
        {"pyproject.toml": f"{_BUILT}[project.optional-dependencies]\ndocs = []\ntests = ['pytest']\n"},
        "pip install '.[tests]'",
    ),
    "an extra of setup.cfg": (
        {"setup.py": "", "setup.cfg": "[options.extras_require]\ntest =\n  pytest\n"},
        "pip install '.[test]'",
    ),
    "an extra of setup.py": (
        {"setup.py": "setup(extras_require={'test': ['pytest'], 'docs': DOCS})"},
        "pip install '.[test]'",
    ),
    "a group": (
        {"pyproject.toml": f"{_BUILT}[dependency-groups]\ntest = ['pytest>=8', 'freezegun']\n"},
        "pip install 'pytest>=8' freezegun",
    ),
    "what tox says without conditions": (
        {"tox.ini": _TOX.format(), "setup.py": ""},
        "pip install pytest 'sh >= 2, <3'",
    ),
    "the package itself where its requirements do not bring it": (
        {"requirements.txt": "pytest\n", "src/x/__init__.py": "", "setup.py": ""},
        "pip install .",
    ),
    "nothing": ({"setup.py": "", "test.txt": "not about packages\n"}, None),
}


@pytest.mark.parametrize("name", list(TESTS_NEED))
def test_what_the_tests_of_a_package_need_is_found(name: str) -> None:
    """Where the project says it, in the order of how surely it is about tests."""
    files, expected = TESTS_NEED[name]
    assert analyzed({**files, "tests/test_x.py": ""}).commands.test_install == expected


def test_of_a_range_without_an_end_the_newest_python_is_taken_that_the_project_names() -> None:
    """It was never tried on what came out after it; where it names none, the newest."""
    pyproject = "[project]\nrequires-python = '>=3.9'\nclassifiers = [{}]\n"
    named = ", ".join(f"'Programming Language :: Python :: {line}'" for line in ("3", "3.8", "3.11", "3.12"))
    assert analyzed({"pyproject.toml": pyproject.format(named)}).release == "3.12"
    assert analyzed({"pyproject.toml": pyproject.format("")}).release == KNOWN["python"][0]
    assert analyzed({"pyproject.toml": pyproject.format(named), ".python-version": "3.13\n"}).release == "3.13"


def test_the_name_of_a_pyenv_environment_is_no_version() -> None:
    """What pyproject.toml asks for counts then."""
    found = analyzed({".python-version": "shop\n", "pyproject.toml": "[project]\nrequires-python = '<3.13'\n"})
    assert (found.version, found.release) == ("<3.13", "3.12")


def test_make_tests_where_the_makefile_has_a_target_for_it() -> None:
    """A variable of that name is none."""
    with_target = analyzed({"main.c": "", "Makefile": "all: a\ncheck: all\n\t./a\n"})
    assert (with_target.commands.test, with_target.has_tests) == ("make check", True)
    assert analyzed({"main.c": "", "Makefile": "all: a\ntest := 1\n"}).commands.test is None


def test_shell_scripts_that_are_tests_are_run() -> None:
    """Each by itself; what they share is none of them."""
    found = analyzed({"run.sh": "", "tests/test_b.sh": "", "tests/test_a.sh": "", "tests/common.sh": ""})
    assert found.commands.test == "bash tests/test_a.sh && bash tests/test_b.sh"


def test_uv_brings_a_test_tool_that_its_lockfile_does_not_have() -> None:
    """One that is declared is taken from there."""
    files = {"uv.lock": "", "tests/test_x.py": ""}
    assert analyzed({**files, "pyproject.toml": "[project]\n"}).commands.test == "uv run --with pytest pytest"
    declared = "[project]\n[dependency-groups]\ndev = ['pytest']\n"
    assert analyzed({**files, "pyproject.toml": declared}).commands.test == "uv run pytest"


def test_a_monorepo_has_its_projects() -> None:
    """Each with its own analysis, under its own folder; what is vendored or deep is nobody's project."""
    files = {
        "package.json": package(workspaces=["apps/*"], private=True),
        "pnpm-lock.yaml": "",
        "apps/web/package.json": package(dependencies={"next": "15"}),
        "apps/web/page.tsx": "x" * 50,
        "apps/api/pyproject.toml": '[project]\ndependencies = ["fastapi", "psycopg[binary]"]\n',
        "apps/api/main.py": "x",
        "node_modules/y/package.json": package(),
        "a/b/c/d/e/package.json": package(),
    }
    found = analyzed(files)
    assert (found.language, found.package_manager, found.framework) == ("typescript", "pnpm", None)
    assert [(one.root, one.language, one.framework) for one in found.projects] == [
        ("apps/api", "python", "fastapi"),
        ("apps/web", "typescript", "nextjs"),
    ]
    assert found.services == ("postgresql",)


def test_a_folder_can_be_asked_for() -> None:
    """The analysis is of that folder alone, and says so; evidence names the path in the repository."""
    files = {"go.mod": "module x", "main.go": "x" * 99, "web/package.json": package(dependencies={"koa": "2"})}
    found = analyzed({**files, "web/i.js": "x"}, "web")
    assert (found.language, found.framework, found.root, found.languages) == (
        "javascript",
        "koa",
        "web",
        {"javascript": 1},
    )
    assert {evidence.source for evidence in found.evidence} == {"web/package.json"}


def test_what_contradicts_itself_is_listed() -> None:
    """Two pins of one thing, two lockfiles: the first counts, the doubt is said, and the confidence is less."""
    clear = {"package.json": package(engines={"node": "22"}), "yarn.lock": "", "i.js": "x"}
    unclear = {**clear, ".nvmrc": "20.1.0\n", "package-lock.json": "{}"}
    found = analyzed(unclear)
    assert (found.version, found.package_manager) == ("22", "yarn")
    assert found.doubts == (".nvmrc wants 20.1.0, package.json wants 22", "there are lockfiles of npm, yarn")
    assert found.confidence < analyzed(clear).confidence
    assert analyzed({**clear, ".nvmrc": "22.4.0\n"}).doubts == ()


@pytest.mark.parametrize(
    ("files", "services"),
    [
        ({"requirements.txt": "psycopg2-binary\nflask\n"}, ("postgresql",)),
        ({"requirements.txt": "psycopg2\nredis\n"}, ("postgresql", "redis")),
        ({"package.json": package(dependencies={"mongoose": "8", "amqplib": "1"})}, ("mongodb", "rabbitmq")),
        ({"Gemfile": "gem 'sidekiq'\ngem 'mysql2'\n"}, ("mysql", "redis")),
        ({"go.mod": "module x\nrequire github.com/jackc/pgx/v5 v5.6.0\n"}, ("postgresql",)),
        ({"pom.xml": _POM.format("org.postgresql", "postgresql")}, ("postgresql",)),
        ({"compose.yaml": "services:\n  d:\n    image: docker.io/bitnami/kafka:3\n", "a.py": "x"}, ("kafka",)),
        ({"requirements.txt": "redistimeseries-like\npgn\n"}, ()),
    ],
)
def test_the_services_it_needs(files: dict[str, str], services: tuple[str, ...]) -> None:
    """From dependencies and compose files, by whole words."""
    assert analyzed(files).services == services


def test_system_packages_licence_and_ports() -> None:
    """What the image needs, under which licence it stands, and where it listens."""
    files = {
        "requirements.txt": "psycopg2\nflask\n",
        "Aptfile": "ffmpeg\n",
        "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person",
        "docker-compose.yml": 'services:\n  web:\n    build: .\n    ports: ["8080:5000"]\n  db:\n    image: postgres\n',
        "app.py": "x",
    }
    found = analyzed(files)
    assert found.system_packages == ("ffmpeg", "gcc", "libpq-dev")
    assert (found.licence, found.ports) == ("MIT", (5000,))
    assert analyzed({**files, "Dockerfile": "FROM x\nexpose 9000/tcp\n"}).ports == (9000,)
    assert analyzed({"Procfile": "web: node i.js --port 4000\n", "i.js": "x"}).ports == (4000,)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("python", "3.12.42", "3.12.42"),
        ("python", ">=3.8,<3.13", "3.12"),
        ("python", "==3.11.*", "3.11"),
        ("python", "~=3.9", "3.14"),
        ("python", "!=3.14", "3.13"),
        ("python", ">3.11.4,<=3.12", "3.12"),
        ("python", "<3", "2.7"),
        ("python", "3.13rc1", "3.13rc1"),
        ("node", "22.x", "22"),
        ("node", ">=18.0.0", "24"),
        ("node", "^20.1.0 || ^18", "20"),
        ("node", ">=16.0.0 <18.0.0", "16"),
        ("node", "14 - 16", "16"),
        ("node", "~18.2", "18"),
        ("node", "lts/*", "24"),
        ("node", "lts/hydrogen", "18"),
        ("node", "v20.1.0", "20.1.0"),
        ("node", ">=99", None),
        ("node", "whatever", None),
        ("node", "", None),
        ("ruby", "~> 3.3.0", "3.3"),
        ("ruby", "~> 3.1", "3.4"),
        ("php", "^8.1", "8.4"),
        ("php", ">=7.4 <8.2", "8.1"),
        ("php", "^7.4|^8.0", "8.4"),
        ("elixir", "~> 1.14 or ~> 2.0", "1.19"),
        ("dart", ">=2.16.1 <3.0.0", "2.19"),
        ("java", "latest", "21"),
        ("unheard-of", "*", None),
    ],
)
def test_which_release_satisfies_a_declared_version(kind: str, text: str, expected: str | None) -> None:
    """The grammars of npm, PEP 440, Composer, RubyGems, Hex and pub; the newest line that is allowed."""
    assert release(text, kind) == expected


@given(st.text(max_size=60), st.sampled_from(sorted(KNOWN)))
def test_no_version_makes_it_fail(text: str, kind: str) -> None:
    """Whatever somebody pinned."""
    release(text, kind)


def test_an_analysis_fits_into_an_event() -> None:
    """Of a repository with a hundred projects of a thousand dependencies each."""
    many = "".join(f"a-very-long-name-of-a-dependency-{number}>=1.2.3\n" for number in range(1000))
    files = {f"apps/p{number}/requirements.txt": many for number in range(100)}
    files |= {"requirements.txt": many, **{f"apps/p{number}/a.py": "x" for number in range(100)}}
    assert len(analyzed(files).model_dump_json()) < 200 * 1024


BOMB = "a: &a [x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{f'*{chr(97 + n)}, ' * 50}]\n" for n in range(8))
ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><project>&b;</project>'
OUTSIDE = (
    '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><project><parent><groupId>&f;</groupId></parent></project>'
)
HOSTILE = {
    "deep braces": "{" * 100_000,
    "deep brackets": "[" * 100_000,
    "deep elements": "<a>" * 50_000,
    "blank lines": "\n" * 300_000,
    "spaces": "id" + " " * 300_000 + "x",
    "one word": "a" * 300_000,
    "dots": "a." * 150_000,
    "slashes": '.package(url: "' + "/" * 300_000,
    "comments": "/*" * 150_000,
    "quotes": '"' * 300_000,
    "toolchains": "jvmToolchain{" * 20_000,
    "minus signs": "-" * 300_000 + "1",
    "deep sequences": "- " * 50_000,
    "deep keys": "? " * 50_000,
    "deep flow": "a: {b: [" * 20_000,
    "deep mappings": "".join(" " * n + "a:\n" for n in range(500)),
    "binary": "\x00\xff",
    "aliases": BOMB,
    "entities": ENTITIES,
    "a file as an entity": OUTSIDE,
    "a number for a table": "[tool.poetry]\ndependencies = 3",
    "a list for an object": '{"scripts": [], "engines": 3, "dependencies": [1], "require": 4, "services": 5}',
    "an object for a text": '{"main": {}, "license": {}, "packageManager": [], "type": 7, "require": {"php": {}}}',
    "odd mapping": "services: [a]\ndependencies: {a: [1], 2: 3}\nenvironment: 7\n",
}
MANIFESTS = (
    *("package.json", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "Gemfile", "requirements.txt", "pom.xml"),
    *("build.gradle", "build.sbt", "project.clj", "deps.edn", "go.mod", "Cargo.toml", "composer.json", "a.csproj"),
    *("global.json", "mix.exs", "rebar.config", "gleam.toml", "CMakeLists.txt", "vcpkg.json", "pubspec.yaml"),
    *("Package.swift", "stack.yaml", "shard.yml", "cpanfile", "renv.lock", "Project.toml", "dune-project"),
    *("deno.json", "mise.toml", ".tool-versions", "railpack.json", "project.toml", "compose.yaml", "environment.yml"),
    *("config.toml", "pnpm-workspace.yaml", "gradle/libs.versions.toml", "LICENSE", "Dockerfile", "Procfile"),
)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("path", MANIFESTS)
def test_a_hostile_manifest_harms_nothing(path: str, text: str) -> None:
    """Too deep, binary, or of another shape than expected: the analysis is still there, and has nothing of a file."""
    found = analyzed({path: text, "x.py": "x" * 100})
    assert found.language != "unknown"
    assert "root:" not in found.model_dump_json()


@given(st.dictionaries(st.sampled_from(MANIFESTS), st.text()))
def test_no_text_makes_it_fail(files: dict[str, str]) -> None:
    """Whatever stands in the manifests."""
    analyzed(files)


@given(st.lists(st.text(min_size=1, max_size=30).filter(lambda path: "\x00" not in path), max_size=20))
def test_no_name_makes_it_fail(paths: list[str]) -> None:
    """Whatever the files are called."""
    analyzed(dict.fromkeys(paths, "x"))
