"""The recipes: every stack that is known renders into files that pass every check and say what the analysis said."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench import corpus
from services.analyzer import decide
from services.analyzer.detect.releases import KNOWN
from shared.ci.dockerfile import instructions
from shared.ci.document import parse
from shared.ci.images import images_of, private_name, rules_of, source_name
from shared.ci.lint import check
from shared.ci.stages import JOBS, STAGES
from shared.events import Analysis, Commands, Dependency, Files
from shared.recipes import BUILDERS, Runner, render, source_images
from shared.recipes.library import NAMES, load
from tests.analyzer.conftest import snapshot_of
from tests.analyzer.stacks import STACKS as ANALYZED
from tests.facts import FLASK

REGISTRY = "registry.example:5000"

STACKS: dict[str, Analysis] = {
    f"{language}-{manager}-{framework}": Analysis(
        language=language, package_manager=manager, framework=framework, release=version, commands=commands
    )
    for language, version, commands, managers, frameworks in (
        (
            "python",
            "3.11",
            Commands(test="pytest --quiet", lint="ruff check .", start="gunicorn app:app"),
            ("pip", "poetry", "uv", "pipenv", "pdm", None),
            ("flask", "django", None),
        ),
        (
            "javascript",
            "20",
            Commands(install="npm ci", build="npm run build", test="npm test", start="node server.js"),
            ("npm", "yarn", "pnpm", "bun", None),
            ("express", "nextjs", None),
        ),
        ("typescript", "22", Commands(build="npm run build"), ("npm", "pnpm"), ("nestjs", None)),
        (
            "ruby",
            "3.4",
            Commands(test="bundle exec rspec", start="bundle exec puma"),
            ("bundler", None),
            ("rails", None),
        ),
    )
    for manager in managers
    for framework in frameworks
}
COREPACK = "COREPACK_HOME=/opt/corepack\nRUN corepack enable\nCOPY --from=build /opt/corepack"
# Languages and package managers that only a model writes for.
WITHOUT_A_RECIPE = {
    *("erlang", "gleam", "crystal", "zig", "nim", "lua", "perl", "r", "julia", "ocaml", "cobol", "zola"),
    "shiny by its own file",
}
LANGUAGES = sorted({language for name in NAMES for language in load(name)["languages"]})
BARE = [Analysis(language=language) for language in LANGUAGES]


def rendered(analysis: Analysis, builder: str = "kaniko", **runner: Any) -> Files:
    """The files, which exist."""
    files = render(analysis, registry=REGISTRY, runner=Runner(builder, **runner))
    assert files is not None
    return files


def script(files: Files, job: str) -> list[str]:
    """The lines that a job runs, as YAML reads them."""
    lines: list[str] = parse(files.pipeline).resolved[job]["script"]
    return lines


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("analysis", [*STACKS.values(), *BARE], ids=[*STACKS, *(one.language for one in BARE)])
def test_every_stack_gives_files_without_a_finding(analysis: Analysis, builder: str) -> None:
    """Nine stages and ten jobs in order, with every builder, and nothing for the checker to say; not even a warning."""
    files = rendered(analysis, builder)
    assert check(files, registry=REGISTRY) == ()
    document = parse(files.pipeline)
    assert document.stages == STAGES
    assert tuple(document.jobs) == JOBS


@pytest.mark.parametrize("analysis", [*STACKS.values(), *BARE], ids=[*STACKS, *(one.language for one in BARE)])
def test_the_scanner_is_never_asked_for_what_it_refuses(analysis: Analysis) -> None:
    """Semgrep chooses no rules by itself (`auto`) where it may tell nobody of the project."""
    (*_, scan) = script(rendered(analysis), "sast")
    assert "auto" not in scan
    assert "semgrep" not in scan or "${SEMGREP_RULES:-p/default}" in scan


def test_the_linter_of_a_repository_without_rules_stops_at_errors_alone() -> None:
    """Checkstyle's default rules call a missing comment an error; the others warn."""
    (line,) = script(rendered(Analysis(language="java", package_manager="maven")), "quality")
    assert "-Dcheckstyle.config.location=google_checks.xml" in line


@pytest.mark.parametrize(
    ("language", "manager", "start", "needed"),
    [
        (
            "javascript",
            "pnpm",
            "pnpm start",
            COREPACK,
        ),
        (
            "javascript",
            "yarn",
            "yarn start",
            COREPACK,
        ),
        ("python", "uv", "uv run app", "VIRTUAL_ENV=/venv UV_PROJECT_ENVIRONMENT=/venv UV_NO_SYNC=1"),
        ("python", "poetry", "poetry run app", "VIRTUAL_ENV=/venv"),
        ("ruby", "bundler", "bundle exec rails server", "RACK_ENV=production RAILS_ENV=production"),
    ],
)
def test_the_image_that_runs_has_what_its_command_begins_with(
    language: str, manager: str, start: str, needed: str
) -> None:
    """The package manager finds what was installed when the image was made, and fetches nothing at the start."""
    analysis = Analysis(language=language, package_manager=manager, commands=Commands(start=start))
    _, _, last = rendered(analysis).dockerfile.rpartition("\nFROM ")
    assert needed in last


@pytest.mark.parametrize("analysis", STACKS.values(), ids=STACKS)
def test_what_the_repository_says_is_what_is_run(analysis: Analysis) -> None:
    """Its own commands stand in the jobs, and the image starts what the repository starts."""
    files, commands = rendered(analysis), analysis.commands
    assert commands.build is None or script(files, "compile") == [commands.build]
    assert commands.test is None or any(line.startswith(commands.test) for line in script(files, "test"))
    assert commands.lint is None or script(files, "quality") == [commands.lint]
    start = [rest for _, word, rest in instructions(files.dockerfile) if word == "CMD"][-1]
    assert commands.start is None or f"exec {commands.start}" in start


@pytest.mark.parametrize(("language", "version"), [("python", "3.12.42"), ("javascript", "20.11.1"), ("ruby", "3.3.6")])
def test_the_version_is_kept_as_it_was_found(language: str, version: str) -> None:
    """Whether a release exists is for the registry to say: nothing is rounded behind a person's back."""
    files = rendered(Analysis(language=language, release=version))
    name = {"javascript": "node"}.get(language, language)
    assert f"{name}:{version}" in files.pipeline
    assert f"{name}:{version}" in files.dockerfile


@pytest.mark.parametrize(
    ("manager", "cache"), [("pip", ".cache/pip"), ("poetry", ".cache/poetry"), ("uv", ".cache/uv")]
)
def test_the_cache_is_that_of_the_package_manager(manager: str, cache: str) -> None:
    """A job that installs keeps what it downloaded, under a key of the lock file."""
    analysis = Analysis(language="python", package_manager=manager, lockfile="the.lock")
    job = parse(rendered(analysis).pipeline).resolved["test"]
    assert job["cache"] == {"key": {"files": ["the.lock"]}, "paths": [cache]}


def test_a_report_is_kept_where_the_tests_write_one() -> None:
    """Pytest is told to write JUnit's and Cobertura's XML, and the job keeps both."""
    files = rendered(Analysis(language="python", commands=Commands(test="pytest -q")))
    *tools, command = script(files, "test")
    assert command.startswith("pytest -q --junitxml=junit.xml --cov=. ")
    assert [tool.split("==")[0] for tool in tools] == ["pip install pytest", "pip install pytest-cov"]
    job = parse(files.pipeline).resolved["test"]
    cobertura = {"coverage_format": "cobertura", "path": "coverage.xml"}
    assert job["artifacts"]["reports"] == {"junit": "junit.xml", "coverage_report": cobertura}
    shown = re.search(job["coverage"].strip("/"), "a.py    3    0   100%\nTOTAL   12    3    75%", re.MULTILINE)
    assert shown is not None
    assert shown[1] == "75"


@pytest.mark.parametrize("command", ["tox", "pytest-3", "pytest && make docs", "pytest | tee log"])
def test_what_cannot_be_told_to_write_a_report_is_left_as_it_is(command: str) -> None:
    """Another tool, or a line in which a further option would go to another command."""
    files = rendered(Analysis(language="python", commands=Commands(test=command)))
    assert script(files, "test") == [command]
    assert "artifacts" not in parse(files.pipeline).resolved["test"]


@pytest.mark.parametrize("manager", ["uv", "poetry", "pipenv", "pdm"])
def test_a_report_is_asked_for_within_the_environment_of_the_package_manager(manager: str) -> None:
    """JUnit always, coverage where the plugin is declared; nothing is installed beside what the lock file has."""
    ran = Analysis(language="python", package_manager=manager, commands=Commands(test=f"{manager} run pytest"))
    assert script(rendered(ran), "test") == [f"{manager} run pytest --junitxml=junit.xml"]
    covered = rendered(ran.model_copy(update={"dependencies": (Dependency(name="pytest-cov"),)}))
    assert "--cov-report=xml:coverage.xml" in script(covered, "test")[0]
    assert parse(covered.pipeline).resolved["test"]["artifacts"]["reports"]["junit"] == "junit.xml"


@pytest.mark.parametrize("privileged", [True, False])
@pytest.mark.parametrize("builder", BUILDERS)
def test_a_registry_that_wants_a_user_and_speaks_http_can_be_built_from(builder: str, *, privileged: bool) -> None:
    """The builder logs in where the variables have a user, and is told of http where that is set."""
    ordinary, plain = (rendered(FLASK, builder, privileged=privileged, insecure=http) for http in (False, True))
    for files in (ordinary, plain):
        assert check(files, registry=REGISTRY) == ()
        assert "REGISTRY_PASSWORD" in "".join(script(files, "build"))
    told = ("--insecure", "--tls-verify=false", "http = true")
    builds, pushes = (["".join(script(files, job)) for files in (ordinary, plain)] for job in ("build", "push"))
    assert [any(word in text for word in told) for text in builds] == [False, True]
    assert ["crane push --insecure" in text for text in pushes] == [False, True]


def test_a_test_tool_that_the_repository_declares_is_not_installed_again() -> None:
    """Its own version stays; without a declared formatter RSpec is left alone."""
    declared = (Dependency(name="pytest"), Dependency(name="pytest-cov"))
    own = rendered(Analysis(language="python", commands=Commands(test="pytest"), dependencies=declared))
    assert [line for line in script(own, "test") if "install" in line] == []
    rspec = Analysis(language="ruby", commands=Commands(test="bundle exec rspec"))
    formatter = (Dependency(name="rspec_junit_formatter"),)
    assert script(rendered(rspec), "test") == ["bundle exec rspec"]
    assert "junit.xml" in script(rendered(rspec.model_copy(update={"dependencies": formatter})), "test")[0]


def test_what_only_the_tests_need_is_installed_before_them_and_nowhere_else() -> None:
    """The image that runs has none of it."""
    commands = Commands(install="pip install .", test_install="pip install '.[tests]'", test="pytest")
    files = rendered(Analysis(language="python", commands=commands, dependencies=(Dependency(name="pytest"),)))
    assert script(files, "test")[0] == "pip install '.[tests]'"
    assert [job for job in ("compile", "quality") if "[tests]" in "".join(script(files, job))] == []
    assert "[tests]" not in files.dockerfile


def test_an_image_keeps_its_health_check_whoever_builds_it() -> None:
    """Buildah writes OCI images unless told otherwise, which have none."""
    for privileged in (False, True):
        files = rendered(FLASK, "buildah", privileged=privileged)
        assert "--format docker" in "".join(script(files, "build"))


def test_what_the_tests_need_stands_beside_them() -> None:
    """The databases and brokers that the analyzer names, from the registry, and where they are found."""
    analysis = FLASK.model_copy(update={"services": tuple(sorted(load("services")))})
    files = rendered(analysis)
    assert check(files, registry=REGISTRY) == ()
    job = parse(files.pipeline).resolved["test"]
    assert {service["alias"] for service in job["services"]} >= {"postgres", "redis", "kafka"}
    assert job["variables"]["REDIS_URL"] == "redis://redis:6379/0"
    known = {private_name(source, REGISTRY) for source in source_images()}
    assert {use.reference for use in images_of(files)} <= known
    assert "services" not in parse(rendered(FLASK).pipeline).resolved["test"]


def test_system_packages_come_with_the_image_where_it_has_them() -> None:
    """No job installs any: the larger image has compilers and headers; what it lacks is installed while it is built."""
    needed = ("libpq-dev", "gcc", "poppler-utils", "evil; rm -rf /")
    files = rendered(FLASK.model_copy(update={"system_packages": needed}))
    assert check(files, registry=REGISTRY) == ()
    assert "python:3.12-slim" not in files.pipeline + files.dockerfile
    assert "apt-get" not in files.pipeline
    assert files.dockerfile.count("install --yes --no-install-recommends poppler-utils &&") == 2
    assert "evil" not in files.dockerfile


@pytest.mark.parametrize("analysis", BARE, ids=[one.language for one in BARE])
def test_behind_an_air_gap_nothing_is_fetched_from_outside(analysis: Analysis) -> None:
    """No rules from the internet, the scanner's databases from the registry; and still nothing to find."""
    files = rendered(analysis, air_gapped=True)
    assert check(files, registry=REGISTRY) == ()
    assert "semgrep" not in files.pipeline
    assert parse(files.pipeline).variables["TRIVY_DB_REPOSITORY"].startswith("${REGISTRY}/")


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_privileged_runner_is_used_as_one(builder: str) -> None:
    """Where there is a difference; the files pass the same checks."""
    files = rendered(FLASK, builder, privileged=True)
    assert check(files, registry=REGISTRY) == ()
    assert "rootless" not in files.pipeline
    assert "--isolation chroot" not in files.pipeline


def test_what_does_not_wait_for_another_begins_at_once() -> None:
    """The scans need nothing, the tests what is compiled, the image's scan the image."""
    jobs = parse(rendered(FLASK).pipeline).resolved
    needs = {name: job.get("needs") for name, job in jobs.items()}
    assert {name: need for name, need in needs.items() if need is not None} == {
        "test": ["compile"],
        "sast": [],
        "quality": [],
        "security": ["build"],
    }
    assert jobs["push"]["interruptible"] is False


@pytest.mark.parametrize("runner", [Runner(), Runner("buildah", air_gapped=True), Runner("buildkit")])
def test_every_line_of_every_job_is_shell(runner: Runner, tmp_path: Path) -> None:
    """As the shell itself reads it."""
    scripts = []
    for analysis in [*STACKS.values(), *BARE]:
        files = render(analysis, registry=REGISTRY, runner=runner)
        assert files is not None
        for job in parse(files.pipeline).resolved.values():
            scripts += [str(line) for line in (*job.get("before_script", ()), *job["script"])]
    for number, text in enumerate(dict.fromkeys(scripts)):
        (tmp_path / f"{number}.sh").write_text(f"{text}\n")
    for path in tmp_path.glob("*.sh"):
        done = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, path.read_text() + done.stderr


@pytest.mark.parametrize("name", ANALYZED)
def test_what_the_analyzer_finds_can_be_built(name: str) -> None:
    """Each small repository of the analyzer's own tests, of whatever language has a recipe: no finding."""
    files, _ = ANALYZED[name]
    analysis = decide.analyze(snapshot_of(files))
    made = render(analysis, registry=REGISTRY)
    assert (made is None) == (name in WITHOUT_A_RECIPE)
    assert made is None or check(made, registry=REGISTRY, analysis=analysis) == ()


def test_every_labelled_repository_gets_files_without_a_finding() -> None:
    """Of those whose language has a recipe; the ones that do not are named."""
    wrong, without = {}, set()
    for row in corpus.rows():
        analysis = corpus.analysis(row)
        files = render(analysis, registry=REGISTRY)
        if files is None:
            without.add((analysis.language, analysis.package_manager))
        elif findings := check(files, registry=REGISTRY, analysis=analysis):
            wrong[row["path"]] = str(findings[0])
    assert wrong == {}
    assert without == {
        ("gleam", "gleam"),
        ("cobol", None),
        ("crystal", "shards"),
        ("scheme", None),
        ("zig", "zig"),
        ("cpp", "meson"),
        ("static", "zola"),
    }


@pytest.mark.parametrize("root", ["apps/web", "a b/c'd"])
@pytest.mark.parametrize("analysis", [*STACKS.values(), *BARE], ids=[*STACKS, *(one.language for one in BARE)])
def test_a_project_below_the_root_is_built_where_it_is(analysis: Analysis, root: str) -> None:
    """Jobs enter its folder, the image copies from there, the cache's key is its lock file; and nothing is found."""
    files = rendered(analysis.model_copy(update={"root": root, "lockfile": "the.lock"}))
    assert check(files, registry=REGISTRY) == ()
    jobs = parse(files.pipeline).resolved
    assert jobs["test"]["before_script"][0] == f"cd {shlex.quote(root)}"
    assert jobs["test"]["cache"]["key"] == {"files": [f"{root}/the.lock"]}
    copied = [rest for _, word, rest in instructions(files.dockerfile) if word == "COPY" and "--from" not in rest]
    assert copied
    assert all(root in source for source in copied)
    inside = parse(rendered(analysis).pipeline).resolved
    assert not any("cd " in line for line in inside["test"]["before_script"])


@pytest.mark.parametrize("language", ["unknown", "fortran", "cobol", ""])
def test_a_language_without_a_recipe_gives_nothing(language: str) -> None:
    """None, so that a model is asked or the run says why it ends; never a pipeline that guesses."""
    assert render(Analysis(language=language), registry=REGISTRY) is None


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize(
    ("language", "versions"),
    [
        ("python", ("3.9", "3.12", "3.14")),
        ("typescript", ("18", "24")),
        ("ruby", ("3.1", "3.4")),
        ("java", ("8", "1.8", "17.0.2", "21")),
        ("go", ("1.21", "1.24")),
        ("php", ("8.1", "8.3.4")),
        ("csharp", ("6.0", "8.0.404")),
        ("elixir", ("1.18",)),
        ("rust", ("1.83", "nightly-2024-08-12")),
        ("haskell", ("lts-22.1",)),
        ("swift", ("5.9",)),
        ("dart", ("3.5",)),
        *((language, ("",)) for language in ("scala", "clojure", "c", "static", "shell", "kotlin", "fsharp")),
    ],
)
def test_every_image_of_a_recipe_is_known_beforehand(language: str, versions: tuple[str, ...], builder: str) -> None:
    """What the files name is in `source_images`, from which a mirror or the sandbox's upstream is filled."""
    known = {private_name(source, REGISTRY) for source in source_images()}
    for version in versions:
        files = rendered(Analysis(language=language, release=version or None), builder)
        assert {use.reference for use in images_of(files)} <= known


@pytest.mark.parametrize("kind", sorted(KNOWN.keys() - {"gleam"}))
def test_every_release_that_the_analyzer_chooses_has_its_images(kind: str) -> None:
    """Of a range the newest known line is taken: the recipe knows the same lines."""
    name = {"node": "javascript", "java": "jvm"}.get(kind, kind)
    assert set(KNOWN[kind]) == set(load(name)["versions"])


@pytest.mark.parametrize(
    "command",
    [
        'echo "a: b"',
        "echo 'it''s'",
        "echo {{ x }} ${Y} %s",
        "- key: value # not a comment",
        "&anchor *alias !tag",
        "ü 试",
    ],
)
def test_a_command_comes_through_yaml_unchanged(command: str) -> None:
    """Whatever characters it has, the job runs the same text."""
    files = rendered(Analysis(language="ruby", commands=Commands(test=command)))
    assert script(files, "test") == [command]


LINE = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(deadline=None)
@example(test="a\nstages: []", start='b"\nUSER root', build="c\nUSER root", install="d\r\nRUN evil")
@example(test="a\\", start="b\\", build="c\\", install="d \\")
@example(test="a <<E", start="b <<E", build="c <<E", install="cat <<E")
@example(test="\x7f", start="\u2028", build="\x85", install="\ud800")
@given(test=LINE, start=LINE, build=LINE, install=LINE)
def test_no_text_of_a_repository_adds_an_instruction(test: str, start: str, build: str, install: str) -> None:
    """A command with line ends, quotes or whatever else becomes one line of one job, one instruction of the image."""
    plain = Commands(test="a", start="b", build="c", install="d")
    hostile = Commands(test=f"a{test}", start=f"b{start}", build=f"c{build}", install=f"d{install}")
    for language in ("python", "javascript", "ruby"):
        wanted, got = (rendered(Analysis(language=language, commands=c)) for c in (plain, hostile))
        assert _shape(got) == _shape(wanted)


def _shape(files: Files) -> tuple[object, ...]:
    """The jobs with the number of their lines, and the Dockerfile's instructions but for what they run."""
    document = parse(files.pipeline)
    jobs = {name: (job["stage"], len(job["script"])) for name, job in document.resolved.items()}
    words = [word for _, word, _ in instructions(files.dockerfile)]
    return document.stages, jobs, words


def test_images_follow_the_rules_of_the_installation() -> None:
    """With IMAGE_NAMES every image of both files is named by them, so that the seeder finds the same sources."""
    rules = rules_of("docker.io/=hub/, gcr.io/=google/, ghcr.io/=github/")
    for analysis in BARE:
        files = rendered(analysis, names=rules, air_gapped=True)
        sources = {source_name(use.reference, REGISTRY, rules) for use in images_of(files)}
        names = {private_name(source, REGISTRY, rules) for source in sources}
        assert {use.reference for use in images_of(files)} == names
        assert not any(name.startswith((f"{REGISTRY}/gcr.io", f"{REGISTRY}/ghcr.io")) for name in names)
        assert any(name.startswith(f"{REGISTRY}/google/") for name in names)
