"""Repairs of real failures in the recipes' files: the class that is told, and every line that changes."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from services.healer import decide
from services.healer.classify import root_cause
from shared.recipes import Runner, render
from tests.healer.failing import REGISTRY, STACKS, changed_lines, failure_in, first_repair, rendered


class Case(NamedTuple):
    """A job of a stack, the end of its log, and the lines that the repair changes."""

    stack: str
    job: str
    log: str
    error_class: str
    changes: list[str]


def moved(*images: tuple[str, str, str]) -> list[str]:
    """The changed lines where images get another tag: what stands before the name, the old one, the new one."""
    return [
        f"{sign} {before.format(f'${{REGISTRY}}/{image}')}"
        for before, *both in images
        for sign, image in zip("-+", both, strict=True)
    ]


APT = "apt-get update && apt-get install --yes --no-install-recommends"
CLEAN = "&& rm -rf /var/lib/apt/lists/*"
CASES: dict[str, Case] = {
    "pip wants a newer Python": Case(
        "python",
        "compile",
        "$ pip install -r requirements.txt\nERROR: Package 'app' requires a different Python: 3.9.2 not in '>=3.12'",
        "dependency_resolution",
        moved(
            ("image: {}", "python:3.9-slim", "python:3.12-slim"),
            ("FROM {} AS build", "python:3.9-slim", "python:3.12-slim"),
            ("FROM {}", "python:3.9-slim", "python:3.12-slim"),
        ),
    ),
    "a module of the standard library came later": Case(
        "python",
        "test",
        "$ pytest -q\n  File \"app.py\", line 1, in <module>\nModuleNotFoundError: No module named 'tomllib'",
        "build_failure",
        moved(
            ("image: {}", "python:3.9-slim", "python:3.11-slim"),
            ("FROM {} AS build", "python:3.9-slim", "python:3.11-slim"),
            ("FROM {}", "python:3.9-slim", "python:3.11-slim"),
        ),
    ),
    "npm wants a newer Node.js": Case(
        "node",
        "compile",
        '$ npm ci\nnpm ERR! code EBADENGINE\nnpm ERR! notsup Required: {"node":"^18.18 || >=20"}',
        "dependency_resolution",
        moved(
            ("image: {}", "node:16-slim", "node:18-slim"),
            ("FROM {} AS build", "node:16-slim", "node:18-slim"),
            ("FROM {}", "node:16-slim", "node:18-slim"),
        ),
    ),
    "javac does not know the release": Case(
        "maven",
        "compile",
        "$ mvn --batch-mode compile\n"
        "[ERROR] Failed to execute goal org.apache.maven.plugins:maven-compiler-plugin:3.11.0:"
        "compile (default-compile) on project app: Fatal error compiling: error: invalid target release: 21",
        "build_failure",
        moved(
            ("image: {}", "maven:3.9-eclipse-temurin-17", "maven:3.9-eclipse-temurin-21"),
            ("FROM {} AS build", "maven:3.9-eclipse-temurin-17", "maven:3.9-eclipse-temurin-21"),
            ("FROM {}", "eclipse-temurin:17-jre", "eclipse-temurin:21-jre"),
        ),
    ),
    "go.mod asks for a newer Go": Case(
        "go",
        "compile",
        "$ go mod download\ngo: go.mod requires go >= 1.23 (running go 1.21.5; GOTOOLCHAIN=local)",
        "dependency_resolution",
        moved(("image: {}", "golang:1.21", "golang:1.23"), ("FROM {} AS build", "golang:1.21", "golang:1.23")),
    ),
    "the Gemfile names one Ruby": Case(
        "ruby",
        "compile",
        "$ bundle install --jobs 4\nYour Ruby version is 3.1.6, but your Gemfile specified 3.2.2",
        "dependency_resolution",
        moved(
            ("image: {}", "ruby:3.1", "ruby:3.2.2"),
            ("FROM {} AS build", "ruby:3.1", "ruby:3.2.2"),
            ("FROM {}", "ruby:3.1-slim", "ruby:3.2.2-slim"),
        ),
    ),
    "a crate asks for a newer Rust": Case(
        "rust",
        "compile",
        "$ cargo build --release\n"
        "error: package `clap v4.5.4` cannot be built because it requires rustc 1.74 or newer, "
        "while the currently active rustc version is 1.70.0",
        "dependency_resolution",
        moved(("image: {}", "rust:1.70", "rust:1.74"), ("FROM {} AS build", "rust:1.70", "rust:1.74")),
    ),
    "composer asks for a newer PHP": Case(
        "php",
        "compile",
        "$ composer install --no-interaction --prefer-dist\n"
        "    - Root composer.json requires php ^8.2 but your php version "
        "(8.1.27) does not satisfy that requirement.",
        "dependency_resolution",
        moved(
            ("image: {}", "serversideup/php:8.1-cli", "serversideup/php:8.2-cli"),
            ("FROM {} AS build", "serversideup/php:8.1-cli", "serversideup/php:8.2-cli"),
            ("FROM {}", "serversideup/php:8.1-fpm-nginx", "serversideup/php:8.2-fpm-nginx"),
        ),
    ),
    "the SDK does not know the framework": Case(
        "dotnet",
        "compile",
        "$ dotnet restore\n"
        "/usr/share/dotnet/sdk/6.0.428/Sdks/Microsoft.NET.targets(144,5): error NETSDK1045: The current .NET SDK does "
        "not support targeting .NET 8.0.  Either target .NET 6.0 or lower, or use a version of the .NET SDK",
        "build_failure",
        moved(
            ("image: {}", "mcr.microsoft.com/dotnet/sdk:6.0", "mcr.microsoft.com/dotnet/sdk:8.0"),
            ("FROM {} AS build", "mcr.microsoft.com/dotnet/sdk:6.0", "mcr.microsoft.com/dotnet/sdk:8.0"),
            ("FROM {}", "mcr.microsoft.com/dotnet/aspnet:6.0", "mcr.microsoft.com/dotnet/aspnet:8.0"),
        ),
    ),
    "psycopg2 misses pg_config": Case(
        "python",
        "compile",
        "$ pip install -r requirements.txt\n      Error: pg_config executable not found.\n"
        "error: subprocess-exited-with-error\nERROR: Failed building wheel for psycopg2",
        "build_failure",
        [
            f'+ - "{APT} libpq-dev gcc libc6-dev"',
            f"+ RUN {APT} libpq-dev gcc libc6-dev {CLEAN}",
            f"+ RUN {APT} libpq5 {CLEAN}",
        ],
    ),
    "node-gyp misses Python": Case(
        "node",
        "compile",
        "$ npm ci\nnpm ERR! gyp ERR! find Python\nnpm ERR! gyp ERR! not ok",
        "build_failure",
        [f'+ - "{APT} python3 make g++"', f"+ RUN {APT} python3 make g++ {CLEAN}"],
    ),
    "the build of the image misses a header": Case(
        "python",
        "build",
        "STEP 5/9: RUN pip install -r requirements.txt\n"
        "c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory\n"
        'Error: building at STEP "RUN pip install -r requirements.txt": while running runtime: exit status 1',
        "build_failure",
        [f"+ RUN {APT} libffi-dev gcc libc6-dev {CLEAN}"],
    ),
    "a script that npm runs is not executable": Case(
        "node",
        "test",
        "$ npm test\n> app@1.0.0 test\n> ./scripts/test.sh\n\nsh: 1: ./scripts/test.sh: Permission denied",
        "permission_error",
        ['+ - "chmod +x ./scripts/test.sh"'],
    ),
    "the wrapper is not executable": Case(
        "gradle",
        "compile",
        "$ ./gradlew dependencies\n/scripts-101-7/step_script: line 160: ./gradlew: Permission denied",
        "permission_error",
        ['+ - "chmod +x ./gradlew"'],
    ),
    "only the exit code says that the wrapper is not executable": Case(
        "gradle",
        "compile",
        "$ ./gradlew classes\nERROR: Job failed: exit code 126",
        "permission_error",
        ['+ - "chmod +x ./gradlew"'],
    ),
    "the system ended Maven": Case(
        "maven",
        "test",
        "$ mvn --batch-mode test\n/usr/bin/bash: line 57: 618 Killed                  mvn --batch-mode test",
        "out_of_memory",
        [
            '- MAVEN_OPTS: "-Dmaven.repo.local=$CI_PROJECT_DIR/.m2/repository"',
            '+ MAVEN_OPTS: "-Dmaven.repo.local=$CI_PROJECT_DIR/.m2/repository -XX:MaxRAMPercentage=50"',
        ],
    ),
    "git is not in the image": Case(
        "python",
        "test",
        "$ pytest -q\n/usr/bin/bash: line 160: git: command not found",
        "missing_command",
        [f'+ - "{APT} git ca-certificates"'],
    ),
    "a tool of the language is not in the image": Case(
        "poetry",
        "compile",
        "$ poetry run python -m compileall -q -x '(^|/)(\\.venv|\\.cache)/' .\n/bin/sh: 1: tox: not found",
        "missing_command",
        ['+ - "pip install tox"'],
    ),
    "alpine installs with apk": Case(
        "shell",
        "compile",
        "$ find . -name '*.sh' -print0 | xargs -0 -n1 bash -n\n/bin/sh: make: not found",
        "missing_command",
        ['+ - "apk add --no-cache make"'],
    ),
    "npm may not write its cache": Case(
        "node",
        "test",
        "$ npm test\nnpm ERR! Error: EACCES: permission denied, mkdir '/.npm'",
        "permission_error",
        ["+ variables:", '+ HOME: "/tmp"'],
    ),
    "git does not trust the checkout": Case(
        "go",
        "compile",
        "$ go build ./...\nfatal: detected dubious ownership in repository at '/builds/shop/web'",
        "permission_error",
        ['+ - "git config --global --add safe.directory \\"$CI_PROJECT_DIR\\""'],
    ),
    "package-lock.json is stale": Case(
        "node",
        "compile",
        "$ npm ci\nnpm ERR! code EUSAGE\nnpm ERR! `npm ci` can only install packages when your package.json and "
        "package-lock.json are in sync.",
        "dependency_resolution",
        ['- - "npm ci"', '+ - "npm install"', "- RUN npm ci", "+ RUN npm install"],
    ),
    "pnpm-lock.yaml is stale": Case(
        "pnpm",
        "compile",
        '$ pnpm install --frozen-lockfile\n ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because '
        "pnpm-lock.yaml is not up to date with package.json",
        "dependency_resolution",
        [
            '- - "pnpm install --frozen-lockfile"',
            '+ - "pnpm install --no-frozen-lockfile"',
            "- RUN pnpm install --frozen-lockfile",
            "+ RUN pnpm install --no-frozen-lockfile",
        ],
    ),
    "poetry.lock is stale": Case(
        "poetry",
        "compile",
        "$ poetry install\npyproject.toml changed significantly since poetry.lock was last generated. Run `poetry lock "
        "[--no-update]` to fix the lock file.",
        "dependency_resolution",
        ['+ - "poetry lock --no-update"', "+ RUN poetry lock --no-update"],
    ),
    "Gemfile.lock knows another platform": Case(
        "ruby",
        "compile",
        '$ bundle install --jobs 4\nYour bundle only supports platforms ["arm64-darwin-22"] but your local platform is '
        "x86_64-linux. Add the current platform to the lockfile with",
        "dependency_resolution",
        ['+ - "bundle lock --add-platform x86_64-linux"', "+ RUN bundle lock --add-platform x86_64-linux"],
    ),
    "go.sum is not complete": Case(
        "go",
        "compile",
        "$ go build ./...\nmain.go:4:2: missing go.sum entry for module providing package golang.org/x/text; to add:",
        "dependency_resolution",
        ['+ - "go mod tidy"', "+ RUN go mod tidy"],
    ),
    "the heap of Node.js is full": Case(
        "node",
        "test",
        "$ npm test\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        "out_of_memory",
        ['+ NODE_OPTIONS: "--max-old-space-size=4096"'],
    ),
    "the heap of Maven is full": Case(
        "maven",
        "test",
        "$ mvn --batch-mode test\n[ERROR] java.lang.OutOfMemoryError: Java heap space",
        "out_of_memory",
        [
            '- MAVEN_OPTS: "-Dmaven.repo.local=$CI_PROJECT_DIR/.m2/repository"',
            '+ MAVEN_OPTS: "-Dmaven.repo.local=$CI_PROJECT_DIR/.m2/repository -Xmx2g"',
        ],
    ),
    "the system ended rustc": Case(
        "rust",
        "compile",
        "$ cargo build --release\nerror: could not compile `app` (signal: 9, SIGKILL: kill)",
        "out_of_memory",
        ['+ CARGO_BUILD_JOBS: "1"'],
    ),
    "the job took too long": Case(
        "python",
        "test",
        "$ pytest -q\nERROR: Job failed: execution took longer than 30m0s seconds",
        "timeout_error",
        ["+ timeout: 60 minutes"],
    ),
    "no database is declared": Case(
        "python",
        "test",
        '$ pytest -q\nE   psycopg2.OperationalError: could not translate host name "db" to address: Unknown',
        "service_connection",
        [
            "+ services:",
            "+ - name: ${REGISTRY}/postgres:16.6-alpine",
            "+ alias: db",
            '+ variables: {"POSTGRES_DB": "test", "POSTGRES_USER": "test", "POSTGRES_HOST_AUTH_METHOD": "trust"}',
            "+ variables:",
            '+ DATABASE_URL: "postgresql://test@db:5432/test"',
            '+ PGHOST: "db"',
            '+ PGUSER: "test"',
            '+ PGDATABASE: "test"',
        ],
    ),
    "the database has another name": Case(
        "django",
        "test",
        '$ pytest -q\nE   psycopg2.OperationalError: could not translate host name "db" to address: Unknown',
        "service_connection",
        ["- alias: postgres", "+ alias: postgres,db"],
    ),
    "redis is looked for on the job's own machine": Case(
        "python",
        "test",
        "$ pytest -q\nredis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.",
        "service_connection",
        [
            "+ services:",
            "+ - name: ${REGISTRY}/redis:7.4.1-alpine",
            "+ alias: redis",
            "+ variables:",
            '+ REDIS_URL: "redis://redis:6379/0"',
            '+ REDIS_HOST: "redis"',
        ],
    ),
    "nobody keeps what was built": Case(
        "node",
        "test",
        "$ npm test\nError: ENOENT: no such file or directory, open 'dist/app.js'",
        "artifact_missing",
        ["+ artifacts:", "+ paths: [dist/]", "+ expire_in: 1 day"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_failure_of_a_recipe_is_repaired_in_the_lines_that_it_is_about(name: str) -> None:
    """The first repair is allowed by checker and guard, and its diff has these lines and no other."""
    case = CASES[name]
    files = rendered(case.stack)
    end = "" if "ERROR: Job failed" in case.log else "\nERROR: Job failed: exit code 1\n"
    event, failure = failure_in(case.job, f"{case.log}{end}", files, STACKS[case.stack])
    assert failure.error_class == case.error_class
    fix, refused = first_repair(event, failure)
    assert (refused, fix is not None) == ([], True)
    assert fix is not None
    assert sorted(changed_lines(files, fix.files)) == sorted(case.changes)


LOGS = sorted({case.log for case in CASES.values()})
JOBS = ("compile", "build", "test", "quality")


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("air_gapped", [False, True], ids=["", "air gap"])
def test_no_repair_makes_any_recipe_worse(stack: str, air_gapped: bool) -> None:
    """Whatever log the jobs of any stack have: what is proposed first passes checker and guard, and nothing is refused.

    Behind an air gap no package of a distribution is installed.
    """
    files, analysis = rendered(stack, air_gapped=air_gapped), STACKS[stack]
    for number, log in enumerate(LOGS):
        job = JOBS[(number + len(stack)) % len(JOBS)]
        event, failure = failure_in(
            job, f"{log}\nERROR: Job failed: exit code 1\n", files, analysis, air_gapped=air_gapped
        )
        fix, refused = first_repair(event, failure)
        assert refused == []
        changed = changed_lines(files, fix.files) if fix else []
        assert not air_gapped or not [line for line in changed if "apt-get" in line or "apk add" in line]


RETRIES = "-Daether.connector.http.retryHandler.count=10"
READY = (
    '$ pytest -q\npsycopg2.OperationalError: connection to server at "postgres" (172.17.0.3), port 5432 failed: '
    "Connection refused"
)


def test_a_service_that_was_not_ready_is_waited_for_after_the_free_rerun() -> None:
    """It may pass by itself; where it does not, the job waits before its tests."""
    files, analysis = rendered("django"), STACKS["django"]
    event, failure = failure_in("test", READY, files, analysis)
    fix, _ = first_repair(event, failure)
    assert fix is not None
    assert fix.rerun
    tried = decide.repaired(event, root_cause(event.pipeline, {}), fix)
    again = event.model_copy(update={"proposal": tried.proposal, "attempt": tried.attempt})
    fix, _ = first_repair(again, failure)
    assert fix is not None
    (line,) = changed_lines(files, fix.files)
    assert "/dev/tcp/postgres/5432" in line


@pytest.mark.parametrize(
    ("stack", "log", "changes"),
    [
        (
            "python",
            "$ pip install -r requirements.txt\nReadTimeoutError: HTTPSConnectionPool(host='pypi.org', port=443)",
            ['+ PIP_RETRIES: "10"'],
        ),
        (
            "maven",
            "$ mvn --batch-mode compile\nCould not transfer artifact a:b:jar:1 from central: Connection reset",
            [
                '- MAVEN_OPTS: "-Dmaven.repo.local=$CI_PROJECT_DIR/.m2/repository"',
                f'+ MAVEN_OPTS: "-Dmaven.repo.local=$CI_PROJECT_DIR/.m2/repository {RETRIES}"',
            ],
        ),
        (
            "python",
            "$ pip install -r requirements.txt\nSSLError: certificate verify failed: self signed certificate",
            [],
        ),
    ],
)
def test_what_the_network_refused_twice_is_asked_for_more_patiently(stack: str, log: str, changes: list[str]) -> None:
    """First the same pipeline runs again; the check of a certificate is never switched off."""
    files = rendered(stack)
    event, failure = failure_in("compile", f"{log}\nERROR: Job failed: exit code 1\n", files, STACKS[stack])
    fixes = decide.from_rules(event, root_cause(event.pipeline, {}), failure)
    assert fixes[0].rerun
    assert [changed_lines(files, fix.files) for fix in fixes[1:]] == ([changes] if changes else [])


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("remote: You are not allowed to push code to this project.", "may push to that branch"),
        ("denied: requested access to the resource is denied", "REGISTRY_USER"),
        ("git@example.org: Permission denied (publickey).", "SSH key"),
        ("npm ERR! code E401", "NPM_TOKEN"),
    ],
)
def test_a_refused_access_is_reported_with_the_right_that_is_missing(words: str, right: str) -> None:
    """No repair is proposed; a person reads what to grant."""
    event, _ = failure_in("push", f"{words}\nERROR: Job failed: exit code 1", rendered("python"), STACKS["python"])
    report = decide.reported(event, root_cause(event.pipeline, {}))
    assert report is not None
    assert right in report.reason


def test_a_toolchain_that_exists_in_no_version_that_is_asked_for_is_left_alone() -> None:
    """Neither the registry nor the source has Python 4: no guess is made."""
    log = "$ pip install .\nERROR: Package 'app' requires a different Python: 3.9.2 not in '>=4.0'"
    event, failure = failure_in("compile", log, rendered("python"), STACKS["python"])
    assert first_repair(event, failure) == (None, [])


def test_behind_an_air_gap_the_image_with_compilers_takes_the_place_of_the_slim_one() -> None:
    """Nothing can be installed there; the full variant has the library."""
    analysis = STACKS["python"].model_copy(update={"release": "3.12"})
    files = render(analysis, registry=REGISTRY, runner=Runner(air_gapped=True))
    assert files is not None
    log = "$ pip install -r requirements.txt\nError: pg_config executable not found."
    event, failure = failure_in("compile", log, files, analysis, air_gapped=True)
    fix, _ = first_repair(event, failure)
    assert fix is not None
    assert set(changed_lines(files, fix.files)) == {
        "- image: ${REGISTRY}/python:3.12-slim",
        "+ image: ${REGISTRY}/python:3.12",
        "- FROM ${REGISTRY}/python:3.12-slim AS build",
        "+ FROM ${REGISTRY}/python:3.12 AS build",
        "- FROM ${REGISTRY}/python:3.12-slim",
        "+ FROM ${REGISTRY}/python:3.12",
    }
