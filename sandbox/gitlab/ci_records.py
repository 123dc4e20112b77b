"""What goes into the compilation of a pipeline and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULT_TIMEOUT = 3600


@dataclass(frozen=True)
class Context:
    """What the pipeline is made for: the ref, the repository's files at that commit, what changed, and variables.

    `variables` whose names begin with CI_ or GITLAB_ are GitLab's own, the others the project's, which go before
    those of the file. `read` gives the text of a file at that commit.
    """

    ref: str
    default_branch: str
    files: Sequence[str] = ()
    changed: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    source: str = "push"
    read: Callable[[str], str | None] = lambda _path: None
    tag: bool = False


@dataclass(frozen=True)
class Retry:
    """How often a failed job runs again by itself, and after which failure reasons."""

    most: int = 0
    when: tuple[str, ...] = ("always",)
    exit_codes: tuple[int, ...] = ()


@dataclass(frozen=True)
class CompiledJob:
    """One job, everything inherited and expanded; `needs` is None where the stages decide the order.

    `needs_artifacts` are those needs whose artifacts it fetches. `artifacts` is empty where it leaves none.
    `service_details` has the document's own words for each of `services`, `entrypoint` those of its image; `coverage`
    is the pattern as it stands there. `allow_failure_codes` are exit codes that count as allowed where
    `allow_failure` itself is false.
    """

    name: str
    stage: str
    stage_index: int = 0
    when: str = "on_success"
    allow_failure: bool = False
    allow_failure_codes: tuple[int, ...] = ()
    needs: tuple[str, ...] | None = None
    needs_artifacts: tuple[str, ...] = ()
    dependencies: tuple[str, ...] | None = None
    image: str | None = None
    services: tuple[str, ...] = ()
    before_script: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    after_script: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry = Retry()
    timeout_seconds: int = DEFAULT_TIMEOUT
    start_in_seconds: int = 0
    trigger: bool = False
    cache: tuple[Mapping[str, Any], ...] = ()
    coverage: str | None = None
    environment: str | None = None
    tags: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    service_details: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Compiled:
    """The result: errors, or jobs in the order of the file; `filtered` where the rules removed every job."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    jobs: tuple[CompiledJob, ...] = ()
    filtered: bool = False
    merged_yaml: str = ""
