"""What a merge request of greenrun says: its description, and the one comment that follows the healing.

The committer opens it, the monitor ends it; both may be delivered again, in any order. The comment carries a stamp of
attempt and step, so that no late delivery puts an older state over a newer one.

Text from outside (a job's name, a model's summary) stands in code spans, each in a line that greenrun began: GitLab
would take `/merge` at the beginning of a line as an order and `@name` as a call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.events import Event, Image, Proposal, Repair
    from shared.ports import MergeRequests

Step = Literal["committed", "failed", "passed"]
STEPS: tuple[Step, ...] = ("committed", "failed", "passed")
STAMP = re.compile(r"<!-- greenrun-state (\d+)\.(\d) -->")
SPAN = 200
IMAGES_SHOWN = 50
LINES_SHOWN = 20


@dataclass(frozen=True)
class Report:
    """One state of a run as the comment shows it; `lines` may hold text from outside."""

    attempt: int
    step: Step
    headline: str
    lines: Sequence[str] = ()

    def stamp(self) -> str:
        """The state's place in the order of all states of a run."""
        return f"<!-- greenrun-state {self.attempt}.{STEPS.index(self.step)} -->"

    def is_newer_than(self, body: str) -> bool:
        """Whether the comment shows an earlier state, or none."""
        # The last one: a line from outside may look like a stamp, and stands before it.
        found = STAMP.findall(body)
        return not found or tuple(map(int, found[-1])) < (self.attempt, STEPS.index(self.step))


def mark(run_id: str) -> str:
    """What a run's merge request and its comment are found by; not shown by GitLab."""
    return f"<!-- greenrun-run {run_id} -->"


def title(proposal: Proposal) -> str:
    """A draft until the pipeline is green."""
    return f"Draft: {proposal.tag} GitLab CI pipeline and Dockerfile"


def description(event: Event, proposal: Proposal, images: Sequence[Image], findings: Sequence[str], run: str) -> str:
    """How the files came about, the images, and what the checker has to say; `run` is the run's page or its id."""
    model = [f"model {span(proposal.model)}"] if proposal.model else []
    template = [f"template {span(proposal.template_id)}"] if proposal.template_id else []
    how = ", ".join([f"origin `{proposal.origin}`", *template, *model])
    files = [f"- {span(path)}: {text.count(chr(10))} lines" for path, text in proposal.files.by_path().items()]
    shown = [f"- {span(image.target)}: {image.state}{_why(image)}" for image in images[:IMAGES_SHOWN]]
    parts = [
        f"greenrun wrote this pipeline: decision `{proposal.decision}`, {how}.",
        "It is a draft until every job of the pipeline has succeeded.",
        _section("Files", files),
        _section("Images", [*shown, *_more(images, IMAGES_SHOWN)] or ["- none"]),
        _section("Policy and lint", [f"- {span(one)}" for one in findings[:LINES_SHOWN]] or ["- no finding"]),
        f"Run: {run}",
        mark(event.run_id),
    ]
    return "\n\n".join(parts)


def comment(run_id: str, report: Report, repairs: Sequence[Repair], run: str) -> str:
    """The comment at this state, with all repairs so far."""
    lines = [f"- {span(line)}" for line in report.lines[:LINES_SHOWN]]
    healed = [
        f"- attempt {one.attempt}: `{one.error_class}` in {span(one.job)}: {span(one.summary)}, by {span(one.author)}"
        for one in repairs
    ]
    parts = [f"**{report.headline}**", "\n".join([*lines, *_more(report.lines, LINES_SHOWN)])]
    parts += [_section("Repairs", healed)] if healed else []
    return "\n\n".join([*filter(None, parts), f"Run: {run}", f"{mark(run_id)}{report.stamp()}"])


async def tell(
    gitlab: MergeRequests, project_id: int, iid: int, report: Report, event: Event, repairs: Sequence[Repair], run: str
) -> None:
    """Bring the run's one comment to this state; nothing where it shows it, or a newer one, already."""
    note = await gitlab.note(project_id, iid, mark(event.run_id))
    if note is None or report.is_newer_than(note.body):
        await gitlab.write_note(project_id, iid, comment(event.run_id, report, repairs, run), note)


def span(text: str) -> str:
    """Text from outside as one short code span."""
    plain = " ".join(text.replace("`", "'").split())
    return f"`{plain[:SPAN]}`" if plain else "` `"


def _section(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"**{name}**", "", *lines])


def _why(image: Image) -> str:
    return f" ({span(image.reason)})" if image.reason and image.state in {"failed", "unresolved"} else ""


def _more(everything: Sequence[object], shown: int) -> list[str]:
    return [f"- and {len(everything) - shown} more"] if len(everything) > shown else []
