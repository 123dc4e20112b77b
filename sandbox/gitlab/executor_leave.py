"""What a job fetches from earlier ones and leaves for later ones: artifacts, reports, caches, coverage."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from defusedxml import ElementTree

from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.ci_duration import duration
from sandbox.gitlab.ci_expression import pattern
from sandbox.gitlab.ci_variables import expand
from sandbox.gitlab.clock import written
from sandbox.gitlab.executor_environment import parse_dotenv
from sandbox.gitlab.executor_files import found, pack, unpack
from sandbox.gitlab.junit import suite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandbox.gitlab.artifacts import Artifacts
    from sandbox.gitlab.executor_files import Caches
    from sandbox.gitlab.executor_records import Work

ANSI = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
THIRTY_DAYS = 30 * 86_400
NEVER = "never"


@dataclass
class Left:
    """What was collected: what the runner says of it, the fields of the job, and an exit code where that failed."""

    said: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 0


def wanted_now(artifacts: Mapping[str, Any], code: int) -> bool:
    """Whether artifacts are kept of a job that ended with this exit code; reports always are."""
    if not artifacts:
        return False
    when = artifacts.get("when", "on_success")
    return when == "always" or (when == "on_failure") == bool(code) or bool(artifacts.get("reports"))


def downloaded(work: Work, artifacts: Artifacts, root: Path) -> str:
    """Unpack what the job fetches; what the runner says of it."""
    said = ""
    for source in work.sources:
        archive = artifacts.archive(source.id)
        if archive is not None:
            unpack(archive, root)
            said += f"Downloading artifacts for {source.job.name} ({source.id})...\n"
            ok = f"id={source.id} responseStatus=200 OK token=64"
            said += f"Downloading artifacts from coordinator... ok  {ok}{trace.CLEAR}\n"
    return said


def saved_caches(work: Work, caches: Caches, root: Path, code: int) -> list[str]:
    """Pack the caches that a job with this exit code keeps; what the runner says of each."""
    said = []
    for cache in work.job.cache:
        when = cache.get("when", "on_success")
        if when == "always" or (when == "on_failure") == bool(code):
            said.append(caches.save(work.ticket.project, cache, root))
    return said


def collected(work: Work, artifacts: Artifacts, root: Path, code: int) -> Left:
    """Pack the artifacts and read the reports of a job that ended with this exit code."""
    given, left = work.job.artifacts, Left(details={"files": []})
    when = given.get("when", "on_success")
    if given.get("paths") and (when == "always" or (when == "on_failure") == bool(code)):
        _archive(work, artifacts, root, left)
    for kind, paths in (given.get("reports") or {}).items():
        _report(kind, _listed(paths, work), work, artifacts, root, left)
    return left


def _archive(work: Work, artifacts: Artifacts, root: Path, left: Left) -> None:
    given = work.job.artifacts
    matched = found(root, _listed(given["paths"], work), _listed(given.get("exclude"), work))
    left.said += f"Uploading artifacts...\n{matched.said}"
    if not matched.paths:
        left.said += f"{trace.RED}ERROR: No files to upload{trace.CLEAR}{trace.RESET}\n"
        return
    size = pack(root, matched.paths, artifacts.place(work.ticket.id))
    left.said += _uploaded("archive", work)
    name = expand(str(given.get("name") or "artifacts"), work.job.variables)
    file = {"file_type": "archive", "size": size, "filename": f"{name}.zip", "file_format": "zip"}
    left.details["files"].append(file)
    left.details |= {"archive": {"size": size, "filename": f"{name}.zip"}, "artifacts_expire_at": _expiry(given)}


def _expiry(given: Mapping[str, Any]) -> str | None:
    wanted = given.get("expire_in")
    if wanted == NEVER:
        return None
    seconds = duration(wanted) or THIRTY_DAYS
    return written(datetime.now(UTC).timestamp() + seconds)


def _uploaded(kind: str, work: Work, answer: str = "201 Created") -> str:
    told = f"id={work.ticket.id} responseStatus={answer} token=64"
    return f'Uploading artifacts as "{kind}" to coordinator... {answer}  {told}{trace.CLEAR}\n'


def _report(kind: str, paths: list[str], work: Work, artifacts: Artifacts, root: Path, left: Left) -> None:
    """One kind of report; `coverage_report` names its file below `path`."""
    matched = found(root, paths)
    left.said += f"Uploading artifacts...\n{matched.said}"
    if not matched.paths:
        left.said += f"{trace.RED}ERROR: No files to upload{trace.CLEAR}{trace.RESET}\n"
        return
    size = sum((root / path).stat().st_size for path in matched.paths)
    file = {"file_type": kind, "size": size, "filename": f"{kind}.gz", "file_format": "gzip"}
    left.details["files"].append(file)
    try:
        if kind == "dotenv":
            texts = [(root / path).read_text(errors="replace") for path in matched.paths]
            artifacts.keep_variables(work.ticket.id, parse_dotenv("\n".join(texts)))
        elif kind == "junit":
            left.details["test_suites"] = [suite(work.job.name, [root / path for path in matched.paths])]
    except (ValueError, ElementTree.ParseError):
        left.said += _uploaded(kind, work, "400 Bad Request") + f"{trace.RED}FATAL: invalid argument{trace.RESET}\n"
        left.exit_code = 1
        return
    left.said += _uploaded(kind, work)


def _listed(given: Any, work: Work) -> list[str]:
    given = given.get("path") if isinstance(given, dict) else given
    listed = given if isinstance(given, list) else [given]
    return [expand(str(one), work.job.variables) for one in listed if one is not None]


def coverage(given: str | None, output: str) -> float | None:
    """The number that the last match of `coverage:` shows; None where nothing matches."""
    if given is None:
        return None
    try:
        matches = list(pattern(given).finditer(ANSI.sub("", output)))
    except re.error:
        return None
    if not matches:
        return None
    last = matches[-1]
    number = NUMBER.search(next((one for one in last.groups() if one), last.group()))
    return float(number.group()) if number else None
