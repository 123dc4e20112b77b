"""out_of_memory: a larger heap where a tool's own limit was reached, less at once where the system ended it.

It may set one variable, or add to it where it is set: in the failed job where it has it, else for the whole file, for
the tool has the same limit in every job; in the Dockerfile in the stage that failed. Limits of the runner are a
person's.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from services.healer.edit.dockerfile import failed_run, with_lines
from services.healer.edit.pipeline import with_variable
from services.healer.strategies.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.healer.failure import Failure


class Limit(NamedTuple):
    """What is said, by which tool (a pattern of its command; empty: whoever said it), and the variable that helps."""

    says: re.Pattern[str]
    tool: re.Pattern[str]
    name: str
    value: str


def _limit(says: str, tool: str, name: str, value: str) -> Limit:
    return Limit(re.compile(says), re.compile(tool), name, value)


_JAVA = r"java\.lang\.OutOfMemoryError|GC overhead limit exceeded|Java heap space|Metaspace"
_KILLED = (
    r"[Kk]illed|SIGKILL|signal: 9|\b137\b|OOM|oom|[Cc]annot allocate memory|daemon disappeared|virtual memory exhausted"
)
# A tool's own limit first; where the system killed it, less at once.
LIMITS: tuple[Limit, ...] = (
    _limit(r"heap out of memory|Reached heap limit", "", "NODE_OPTIONS", "--max-old-space-size=4096"),
    _limit(_JAVA, r"\bmvnw?\b", "MAVEN_OPTS", "-Xmx2g"),
    _limit(_JAVA, r"\bgradlew?\b", "GRADLE_OPTS", "-Dorg.gradle.jvmargs=-Xmx2g"),
    _limit(_JAVA, r"\bsbt\b", "SBT_OPTS", "-Xmx2g"),
    _limit(_JAVA, r"\blein\b", "LEIN_JVM_OPTS", "-Xmx2g"),
    _limit(_JAVA, "", "JAVA_TOOL_OPTIONS", "-Xmx2g"),
    _limit(r"Allowed memory size of \d+ bytes exhausted", r"\bcomposer\b", "COMPOSER_MEMORY_LIMIT", "-1"),
    _limit(_KILLED, r"\bgradlew?\b", "GRADLE_OPTS", "-Dorg.gradle.workers.max=1"),
    _limit(_KILLED, r"\bmvnw?\b", "MAVEN_OPTS", "-XX:MaxRAMPercentage=50"),
    _limit(_KILLED, r"\bcargo\b", "CARGO_BUILD_JOBS", "1"),
    _limit(_KILLED, r"\bcmake\b|\bninja\b", "CMAKE_BUILD_PARALLEL_LEVEL", "1"),
    _limit(_KILLED, r"\bmake\b", "MAKEFLAGS", "-j1"),
    _limit(_KILLED, r"\bgo (?:build|test|vet|install)\b", "GOFLAGS", "-p=1"),
    _limit(_KILLED, r"\b(?:pip|poetry|uv|pipenv)\b", "MAX_JOBS", "1"),
    _limit(_KILLED, r"\b(?:npm|yarn|pnpm|npx|node)\b", "NODE_OPTIONS", "--max-old-space-size=1024"),
)


def repairs(failure: Failure) -> Iterator[Fix]:
    """The first limit that fits what was said and what ran."""
    ran = failed_run(failure.files.dockerfile, failure.lines) if failure.builds_image else None
    command = ran[1].rest if ran else failure.command
    for limit in LIMITS:
        said = any(limit.says.search(line) for line in failure.near)
        if said and limit.tool.search(command) and (command or not limit.tool.pattern):
            files = _in_dockerfile(failure, limit) if failure.builds_image else _in_job(failure, limit)
            if files:
                yield files
                return


def _in_job(failure: Failure, limit: Limit) -> Fix | None:
    """The variable in the job; what it has already stays, but for another number of the same."""
    if not failure.known:
        return None
    own = failure.document.resolved[failure.name].get("variables") or {}
    now = str(own.get(limit.name, failure.document.variables.get(limit.name, "")))
    value = _joined(now, limit.value)
    if value == now:
        return None
    text = with_variable(failure.document, failure.name, limit.name, value, everywhere=True)
    return _fix(failure, limit, {"pipeline": text}) if text else None


def _in_dockerfile(failure: Failure, limit: Limit) -> Fix | None:
    ran = failed_run(failure.files.dockerfile, failure.lines)
    if ran is None or any(one.word == "ENV" and limit.name in one.rest for one in ran[0].instructions):
        return None
    value = json.dumps(limit.value) if " " in limit.value else limit.value
    text = with_lines(failure.files.dockerfile, ran[1].line, [f"ENV {limit.name}={value}"])
    return _fix(failure, limit, {"dockerfile": text})


def _fix(failure: Failure, limit: Limit, update: dict[str, str]) -> Fix:
    summary = f"{limit.name} is {limit.value}, for {failure.evidence.strip()[:120]!r}"
    return Fix("set the tool's limit", summary, failure.files.model_copy(update=update))


def _joined(now: str, value: str) -> str:
    """The options with one more; one that sets the same is replaced, a plain value always."""
    if not value.startswith("-") or value in ("-1", "-j1"):
        return value
    key = re.match(r"-Xmx|[^=]+", value)
    kept = [option for option in now.split() if key is None or not option.startswith(key[0])]
    return " ".join([*kept, value])
