"""One failure as the strategies see it: the two files, what the log says, and what is known of the images."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from services.healer.edit.pipeline import Step, steps_of
from shared.ci import document
from shared.ci.gate import PARALLEL
from shared.ci.image_names import images_of_jobs
from shared.ci.images import RULES, NameRule
from shared.events import Analysis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.ci.document import Document
    from shared.events import Files

# So many lines above the evidence are taken to speak of the same.
NEAR = 12
# GitLab shows a command before it runs it, of several lines the first.
_ECHO = re.compile(r"^\$ (?P<command>.+?)(?: # collapsed multi-line command)?$")
_BUILDERS = re.compile(
    r"/kaniko/executor\b|\bbuildah (?:bud|build)\b|\bbuildctl(?:-daemonless)?\b|\b(?:docker|podman) (?:buildx )?build\b"
)


@dataclass(frozen=True)
class Tags:
    """What is known of one image: the tags in the private registry and at its source (None: it could not be asked)."""

    private: tuple[str, ...]
    source: tuple[str, ...] | None

    @property
    def all(self) -> tuple[str, ...]:
        """Every tag that can be had, once."""
        return tuple(dict.fromkeys([*self.private, *(self.source or ())]))


@dataclass(frozen=True)
class Surroundings:
    """Where the pipeline runs: the private registry (host:port), what images are called there, and the air gap."""

    registry: str = ""
    air_gapped: bool = False
    names: tuple[NameRule, ...] = RULES


@dataclass(frozen=True)
class Failure:
    """What failed, and in which files.

    `lines` are those of the failing region, the evidence among them; `command` is the last that GitLab showed before
    it. `tags` maps images of the private registry to what is known of them.
    """

    files: Files
    error_class: str
    evidence: str
    job: str = ""
    lines: tuple[str, ...] = ()
    command: str = ""
    tags: Mapping[str, Tags] = field(default_factory=dict)
    analysis: Analysis = field(default_factory=Analysis)
    where: Surroundings = Surroundings()

    @property
    def registry(self) -> str:
        """The private registry, host:port."""
        return self.where.registry

    @property
    def air_gapped(self) -> bool:
        """Whether nothing can be installed while a job runs."""
        return self.where.air_gapped

    @cached_property
    def said(self) -> tuple[str, ...]:
        """The lines of the region, the evidence last: it counts most."""
        return (*self.lines, self.evidence)

    @cached_property
    def near(self) -> tuple[str, ...]:
        """The evidence and the lines right above it, the evidence last."""
        place = next(
            (at for at in reversed(range(len(self.lines))) if self.lines[at] == self.evidence), len(self.lines)
        )
        return (*self.lines[max(0, place - NEAR) : place], self.evidence)

    @cached_property
    def document(self) -> Document:
        """The pipeline file."""
        return document.parse(self.files.pipeline)

    @cached_property
    def name(self) -> str:
        """The job's name in the file: one of several in parallel has more to its name."""
        return self.job if self.job in self.document.resolved else PARALLEL.sub("", self.job)

    @cached_property
    def known(self) -> bool:
        """Whether the job is in the file."""
        return self.name in self.document.resolved

    @cached_property
    def steps(self) -> list[Step]:
        """What the job runs, in order."""
        return steps_of(self.document, self.name) if self.known else []

    @cached_property
    def step(self) -> Step | None:
        """The item of the job's script that failed: the one that GitLab showed last; None where that is not known."""
        shown = [step for step in self.steps if self.command and _first_line(step.text) == self.command]
        return shown[-1] if shown else None

    @cached_property
    def image(self) -> str:
        """The image of the job, its variables expanded; empty where it has none or several."""
        found = {
            reference
            for job, path, reference, problem in images_of_jobs(self.document)
            if job == self.name and "image" in path and not problem
        }
        return found.pop() if len(found) == 1 else ""

    @cached_property
    def builds_image(self) -> bool:
        """Whether what failed is the build of the image: what is wrong is then wrong in the Dockerfile."""
        return any(_BUILDERS.search(step.text) for step in self.steps)


def shown_before(lines: Sequence[str], evidence: str) -> str:
    """The last command that GitLab showed before the evidence, or at all; empty where none is shown."""
    place = next((at for at in range(len(lines) - 1, -1, -1) if lines[at] == evidence), len(lines) - 1)
    for above in (lines[: place + 1], lines):
        found = next(filter(None, (_ECHO.match(line) for line in reversed(above))), None)
        if found:
            return found["command"].strip()
    return ""


def _first_line(text: str) -> str:
    return text.strip("\n").partition("\n")[0].strip()
