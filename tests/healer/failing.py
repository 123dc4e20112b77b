"""Failures made of a recipe's files and a log, as the healer's handler makes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.healer import decide
from services.healer.classify import root_cause
from services.healer.failure import Failure, Surroundings, Tags
from services.healer.strategies.fix import Fix, unified_diff
from services.healer.strategies.order import images_for
from shared.ci.region import lines_of
from shared.events import Analysis, Commands, Dependency, Files, Job, Pipeline, PipelineFailed
from shared.recipes import Runner, render
from tests.facts import COMMIT, PROPOSAL, RUN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REGISTRY = "registry.example:5000"

STACKS: dict[str, Analysis] = {
    "python": Analysis(
        language="python",
        package_manager="pip",
        release="3.9",
        commands=Commands(install="pip install -r requirements.txt", test="pytest -q"),
        manifests=("requirements.txt",),
    ),
    "poetry": Analysis(language="python", package_manager="poetry", release="3.9"),
    "uv": Analysis(language="python", package_manager="uv", release="3.9", commands=Commands(test="uv run pytest")),
    "node": Analysis(
        language="javascript",
        package_manager="npm",
        release="16",
        commands=Commands(install="npm ci", build="npm run build", test="npm test", start="node server.js"),
        lockfile="package-lock.json",
        manifests=("package.json", "package-lock.json"),
    ),
    "pnpm": Analysis(language="typescript", package_manager="pnpm", release="20"),
    "maven": Analysis(language="java", package_manager="maven", release="17"),
    "gradle": Analysis(
        language="kotlin",
        package_manager="gradle",
        release="17",
        commands=Commands(install="./gradlew dependencies", build="./gradlew classes", test="./gradlew test"),
    ),
    "go": Analysis(language="go", package_manager="gomod", release="1.21"),
    "ruby": Analysis(language="ruby", package_manager="bundler", release="3.1"),
    "rust": Analysis(language="rust", package_manager="cargo", release="1.70"),
    "php": Analysis(language="php", package_manager="composer", release="8.1"),
    "dotnet": Analysis(language="csharp", package_manager="nuget", release="6.0"),
    "elixir": Analysis(language="elixir", package_manager="mix", release="1.13"),
    "make": Analysis(language="c", package_manager="make"),
    "shell": Analysis(language="shell"),
    "django": Analysis(
        language="python",
        package_manager="pip",
        framework="django",
        release="3.12",
        commands=Commands(install="pip install -r requirements.txt", test="pytest -q", start="gunicorn app.wsgi"),
        services=("postgresql",),
        dependencies=(Dependency(name="psycopg2"),),
        manifests=("requirements.txt",),
    ),
}
# Tags that the sources have, by the end of the repository's name.
TAGS: dict[str, tuple[str, ...]] = {
    "python": ("3.9-slim", "3.10-slim", "3.11-slim", "3.12-slim", "3.12", "3.13-slim", "3.12-alpine", "3.14-rc-slim"),
    "node": ("16-slim", "18-slim", "20-slim", "22-slim", "22", "24-slim", "20-alpine"),
    "maven": ("3.9-eclipse-temurin-17", "3.9-eclipse-temurin-21", "3.9-eclipse-temurin-11"),
    "gradle": ("8-jdk17", "8-jdk21"),
    "eclipse-temurin": ("17-jre", "21-jre", "21-jdk"),
    "golang": ("1.21", "1.22", "1.23", "1.24"),
    "ruby": ("3.1", "3.1-slim", "3.2", "3.2-slim", "3.2.2", "3.2.2-slim", "3.3", "3.3-slim"),
    "rust": ("1.70", "1.74", "1.75", "1.80", "1.85"),
    "php": ("8.1-cli", "8.1-fpm-nginx", "8.2-cli", "8.2-fpm-nginx", "8.3-cli", "8.3-fpm-nginx"),
    "sdk": ("6.0", "8.0", "9.0"),
    "aspnet": ("6.0", "8.0", "9.0"),
    "elixir": ("1.13", "1.13-slim", "1.15", "1.15-slim", "1.17", "1.17-slim"),
    "trivy": ("0.57.1",),
}


def rendered(stack: str, **runner: bool) -> Files:
    """The recipe's files for a stack."""
    files = render(STACKS[stack], registry=REGISTRY, runner=Runner(**runner))  # type: ignore[arg-type]
    assert files is not None
    return files


def event_of(
    job: str, log: str, files: Files, analysis: Analysis, reason: str | None = "script_failure"
) -> PipelineFailed:
    """A pipeline in which this job failed with this end of its log."""
    failed = Job(id=3, name=job, stage=job, status="failed", failure_reason=reason, excerpt=log)
    return PipelineFailed(
        run_id=RUN,
        proposal=PROPOSAL.model_copy(update={"files": files, "analysis": analysis, "repairs": ()}),
        commit=COMMIT,
        outcome="failed",
        pipeline=Pipeline(id=7, status="failed", jobs=(failed,), reasons=(f"{job}: failed",)),
    )


def tags_of(targets: Sequence[str]) -> Mapping[str, Tags]:
    """What the sources have of these private images."""
    return {target: Tags((), TAGS.get(target.rpartition("/")[2].partition(":")[0], ())) for target in targets}


def failure_in(
    job: str, log: str, files: Files, analysis: Analysis, *, air_gapped: bool = False
) -> tuple[PipelineFailed, Failure]:
    """The event and the failure as the strategies see it, with the tags that they ask for."""
    event = event_of(job, log, files, analysis)
    diagnosis = root_cause(event.pipeline, {})
    failure = decide.failure_of(event, diagnosis, lines_of(log), Surroundings(REGISTRY, air_gapped))
    return event, replace(failure, tags=tags_of(images_for(failure)))


def first_repair(event: PipelineFailed, failure: Failure) -> tuple[Fix | None, list[str]]:
    """The first repair that nothing speaks against, and why those before it were refused."""
    diagnosis = root_cause(event.pipeline, {})
    refused: list[str] = []
    for fix in decide.from_rules(event, diagnosis, failure):
        why = decide.objection(event, diagnosis, fix, REGISTRY)
        if why is None:
            return fix, refused
        refused.append(f"{fix.strategy}: {why}")
    return None, refused


def changed_lines(before: Files, after: Files) -> list[str]:
    """The lines of the diff that are there in one of the files alone, with their sign, indentation taken off."""
    return [
        f"{line[0]} {line[1:].strip()}"
        for line in unified_diff(before, after).splitlines()
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
