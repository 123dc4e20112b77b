"""Stages, needs and dependencies: GitLab's logical checks, before and after the rules have chosen the jobs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.gitlab.ci_jobs import inherited
from sandbox.gitlab.ci_parallel import copies, named
from sandbox.gitlab.ci_validate import visible
from sandbox.gitlab.ci_yaml import CiError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

DEFAULT_STAGES = ("build", "test", "deploy")
MAX_NEEDS = 50


@dataclass(frozen=True)
class Need:
    """One entry of `needs`, names of parallel jobs written out."""

    name: str
    artifacts: bool = True
    optional: bool = False


@dataclass(frozen=True)
class Draft:
    """A job of the document before its rules are judged; `variables` are those of its place in a matrix."""

    name: str
    job: dict[str, Any]
    stage: str
    stage_index: int
    variables: dict[str, str] = field(default_factory=dict)
    needs: tuple[Need, ...] | None = None
    dependencies: tuple[str, ...] | None = None


class Plan:
    """All jobs of a document, parallel ones multiplied, with their stages."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Raises CiError where a matrix is too big."""
        given = document.get("stages") or list(DEFAULT_STAGES)
        self.stages = list(dict.fromkeys([".pre", *(one for one in given if one not in (".pre", ".post")), ".post"]))
        jobs = {name: inherited(document[name], document) for name in visible(document)}
        self._copies = {name: copies(name, job) for name, job in jobs.items()}
        drafts = [self._draft(copy, jobs[name], given) for name in jobs for copy, given in self._copies[name].items()]
        self.drafts = {draft.name: draft for draft in drafts}

    def _draft(self, name: str, job: dict[str, Any], variables: dict[str, str]) -> Draft:
        stage = str(job.get("stage", "test"))
        index = self.stages.index(stage) if stage in self.stages else -1
        listed = job.get("dependencies")
        dependencies = None if listed is None else tuple(one for each in listed for one in self._named({"job": each}))
        return Draft(name, job, stage, index, variables, self.needs(job.get("needs")), dependencies)

    def needs(self, given: Any) -> tuple[Need, ...] | None:
        """`needs` of a job or a rule; those of other projects and pipelines are not waited for."""
        if given is None:
            return None
        listed = given if isinstance(given, list) else [given]
        entries = [entry if isinstance(entry, dict) else {"job": str(entry)} for entry in listed]
        local = [entry for entry in entries if "job" in entry and "project" not in entry and "pipeline" not in entry]
        return tuple(
            Need(name, bool(entry.get("artifacts", True)), bool(entry.get("optional", False)))
            for entry in local
            for name in self._named(entry)
        )

    def _named(self, entry: dict[str, Any]) -> list[str]:
        name = str(entry["job"])
        return named(entry, self._copies[name]) if name in self._copies else [name]

    def check(self) -> None:
        """Raises CiError at the first thing that does not fit, in GitLab's words."""
        for draft in self.drafts.values():
            if draft.stage_index < 0:
                listed = ", ".join(self.stages)
                raise CiError(
                    f"{draft.name} job: chosen stage {draft.stage} does not exist; available stages are {listed}"
                )
            for name in draft.dependencies or ():
                self._check_one(draft, Need(name), "dependency")
            self.check_needs(draft, draft.needs)
        _check_circles({name: [need.name for need in draft.needs or ()] for name, draft in self.drafts.items()})

    def check_needs(self, draft: Draft, needs: Sequence[Need] | None) -> None:
        """Raises CiError where a need is unknown, comes later or stands twice."""
        for need in needs or ():
            self._check_one(draft, need, "need")
        twice = [name for name, times in Counter(need.name for need in needs or ()).items() if times > 1]
        if twice:
            raise CiError(f"{draft.name} has the following needs duplicated: {', '.join(twice)}.")

    def _check_one(self, draft: Draft, need: Need, word: str) -> None:
        other = self.drafts.get(need.name)
        if other is None:
            if need.optional:
                return
            raise CiError(f"{draft.name} job: undefined {word}: {need.name}")
        if other.stage_index > draft.stage_index:
            raise CiError(f"{draft.name} job: {word} {need.name} is not defined in current or prior stages")


def missing_needs(name: str, needs: Sequence[Need], present: Collection[str]) -> list[str]:
    """What GitLab says of needs that the rules have left out."""
    if len(needs) > MAX_NEEDS:
        sentence = f"one job can only need {MAX_NEEDS} others, but you have listed {len(needs)}."
        return [f"{name}: {sentence} See needs keyword documentation for more details"]
    return [
        f"'{name}' job needs '{need.name}' job, but '{need.name}' does not exist in the pipeline. "
        "This might be because of the only, except, or rules keywords. "
        "To need a job that sometimes does not exist in the pipeline, use needs:optional."
        for need in needs
        if not need.optional and need.name not in present
    ]


def _check_circles(needs: Mapping[str, Sequence[str]]) -> None:
    done: set[str] = set()
    for start in needs:
        stack: list[tuple[str, bool]] = [(start, False)]
        open_: set[str] = set()
        while stack:
            name, left = stack.pop()
            if left:
                open_.discard(name)
                done.add(name)
            elif name in open_:
                raise CiError("The pipeline has circular dependencies")
            elif name not in done:
                open_.add(name)
                stack.append((name, True))
                stack += [(other, False) for other in needs.get(name, ()) if other not in done]
