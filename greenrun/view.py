"""What the command prints for people: one line per event, and one run's summary."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from shared import events
from shared.ci.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import OverflowMethod, RenderableType

    from shared.bus import Recorded
    from shared.events import Event, Image, Job, MergeRequest, Repair, Round
    from shared.history import Run

TYPE_WIDTH = 18
VISIBLE_SECONDS = 0.1
STYLES = {
    "pipeline.passed": "bold green",
    "template.stored": "green",
    "pipeline.failed": "yellow",
    "run.failed": "bold red",
    "run.cancelled": "magenta",
}
MARKS = {"pipeline.failed": "✗", "run.failed": "✗", "run.cancelled": "■"}
STATUS_STYLES = {"passed": "green", "failed": "red", "running": "yellow", "cancelled": "magenta", "committed": "cyan"}


def event_line(recorded: Recorded, seconds: float | None) -> Text:
    """One event: mark, type, attempt, the seconds since the event before it, and what it says in a few words."""
    event = recorded.event
    style = STYLES.get(event.type, "cyan")
    took = "" if seconds is None else f"{seconds:7.2f} s"
    line = Text.assemble(
        (f"{MARKS.get(event.type, '✓')} ", style),
        (f"{event.type:<{TYPE_WIDTH}}", style),
        (f"{took:>10}  ", "dim"),
    )
    if event.attempt > 1:
        line.append(f"attempt {event.attempt}  ", "yellow")
    if recorded.again:
        line.append(f"retried by {recorded.by or recorded.source}  ", "magenta")
    return line.append(say(event))


def say(event: Event) -> str:
    """What the event says, in a few words; text from outside has its control characters removed."""
    words = _WORDS[event.type](event)
    return "".join(character if character.isprintable() else " " for character in words)


def _submitted(event: events.RepoSubmitted) -> str:
    return event.repo_url + (f" at {event.ref}" if event.ref else "")


def _analyzed(event: events.RepoAnalyzed) -> str:
    found = event.analysis
    facts = (found.language, found.framework, found.version, found.package_manager)
    return " · ".join(fact for fact in facts if fact)


def _resolved(event: events.TemplateResolved) -> str:
    return " · ".join([event.decision, *event.reasons[:1]])


def _generated(event: events.FilesGenerated) -> str:
    proposal = event.proposal
    if proposal.rerun:
        return f"{proposal.tag} same files, the pipeline runs again"
    if proposal.repairs and proposal.repairs[-1].attempt == event.attempt:
        return f"repaired by {proposal.repairs[-1].author}: {proposal.repairs[-1].summary}"
    lines = proposal.files.pipeline.count("\n") + proposal.files.dockerfile.count("\n")
    asked = f"; asked {asked_words(proposal.rounds)}" if proposal.rounds else ""
    return f"{proposal.tag} .gitlab-ci.yml and Dockerfile, {lines} lines{asked}"


def _seeded(event: events.ImagesSeeded) -> str:
    return image_counts(event.images)


def _committed(event: events.CommitCreated) -> str:
    where = f"{event.commit.sha[:8]} on {event.commit.branch}"
    where = where if event.created else f"{where} (was there already)"
    where += " · no pipeline was wanted" if event.proposal.submission.skip_ci else ""
    return f"{where} · {merge_request_words(event.merge_request)}" if event.merge_request else where


def _passed(event: events.PipelinePassed) -> str:
    return f"{len(event.pipeline.jobs)} jobs · {event.pipeline.web_url}"


def _failed(event: events.PipelineFailed) -> str:
    return "; ".join([event.outcome, *_telling(event)[:2]])


def _telling(event: events.PipelineFailed) -> list[str]:
    """The reasons, those of jobs that failed before those of jobs that had to wait for them."""
    jobs = [job for job in event.pipeline.jobs if job.status == "failed"]
    begin = tuple(f"{job.name} in stage {job.stage} " for job in jobs)
    return sorted(event.pipeline.reasons, key=lambda reason: not reason.startswith(begin))


def _stored(event: events.TemplateStored) -> str:
    how = "was already in" if event.existed else "stored in"
    return f"{event.template_id} {how} {event.collection}"


def _run_failed(event: events.RunFailed) -> str:
    return f"{event.phase}: {event.reason}"


def _cancelled(event: events.RunCancelled) -> str:
    return " ".join(filter(None, ["cancelled by", event.cancelled_by or "a person", event.reason]))


_WORDS: dict[str, Callable[..., str]] = {
    "repo.submitted": _submitted,
    "repo.analyzed": _analyzed,
    "template.resolved": _resolved,
    "files.generated": _generated,
    "images.seeded": _seeded,
    "commit.created": _committed,
    "pipeline.passed": _passed,
    "pipeline.failed": _failed,
    "template.stored": _stored,
    "run.failed": _run_failed,
    "run.cancelled": _cancelled,
}


def merge_request_words(merge_request: MergeRequest) -> str:
    """What became of the merge request that was asked for."""
    if merge_request.iid is None:
        return f"no merge request: {merge_request.problem}"
    state = "draft" if merge_request.draft else "ready"
    return f"merge request !{merge_request.iid} ({merge_request.problem or state})"


def image_counts(images: Iterable[Image]) -> str:
    """How many images are in which state, e.g. `3 copied, 5 present`."""
    states: dict[str, int] = defaultdict(int)
    for image in images:
        states[image.state] += 1
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no images"


def asked_words(rounds: Sequence[Round]) -> str:
    """What models were asked in all, e.g. `qwen3 2 times: 1 refused, 1 accepted, 9120 tokens, $0.0310`."""
    models = ", ".join(dict.fromkeys(one.model for one in rounds))
    outcomes = Counter(one.outcome for one in rounds)
    said = [f"{count} {outcome}" for outcome, count in outcomes.items()]
    said.append(f"{sum(one.prompt_tokens + one.answer_tokens for one in rounds)} tokens")
    costs = [one.cost for one in rounds if one.cost is not None]
    said += [f"${sum(costs):.4f}"] if costs else []
    times = "once" if len(rounds) == 1 else f"{len(rounds)} times"
    return f"{models} {times}: {', '.join(said)}"


def summary(run: Run) -> RenderableType:
    """One run on one screen: outcome, decision, files, images, commit, jobs by stage, healing, template or failure."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", justify="right")
    facts.add_column(overflow="fold")
    for name, value in _facts(run):
        facts.add_row(name, value)
    parts: list[RenderableType] = [facts]
    if run.pipeline and run.pipeline.jobs:
        parts += ["", jobs_by_stage(run.pipeline.jobs)]
    for repair in run.repairs:
        parts += ["", *_repair(repair)]
    style = STATUS_STYLES[run.status]
    return Panel(Group(*parts), title=f"[{style}]{run.status}[/] · run {run.run_id}", border_style=style)


def _facts(run: Run) -> Iterable[tuple[str, Text | str]]:
    if run.submission:
        yield "repository", Text(run.submission.repo_url)
    if run.decision:
        yield "decision", Text(run.decision + (f" → {events.COMMIT_TAGS[run.origin]}" if run.origin else ""))
    if run.files:
        yield (
            "files",
            Text(", ".join(f"{path} ({text.count(chr(10))} lines)" for path, text in run.files.by_path().items())),
        )
    if run.rounds:
        yield "model", Text(asked_words(run.rounds))
    if run.images:
        yield "images", Text(image_counts(run.images))
    yield from _on_gitlab(run)
    yield "attempts", Text(f"{run.attempt}, healed {len(run.repairs)} time{'' if len(run.repairs) == 1 else 's'}")
    if run.template:
        yield "template", Text(_stored(run.template))
    yield from _failure(run.failure)
    yield "took", Text(f"{(run.updated - run.started).total_seconds():.1f} s")


def _failure(failure: events.RunFailed | None) -> Iterable[tuple[str, Text | str]]:
    if failure:
        yield "failed in", Text(f"{failure.phase}: {failure.reason}", style="red")
        if failure.evidence:
            yield "evidence", Text(failure.evidence)


def _on_gitlab(run: Run) -> Iterable[tuple[str, Text | str]]:
    if run.commit:
        yield "commit", Text(f"{run.commit.sha[:12]} on {run.commit.branch}\n{run.commit.web_url}")
    if run.merge_request:
        words = merge_request_words(run.merge_request)
        yield "merge request", Text("\n".join(filter(None, [words, run.merge_request.web_url])))
    if run.pipeline:
        yield "pipeline", Text(f"{run.pipeline.status}  {run.pipeline.web_url}")


def jobs_by_stage(jobs: Iterable[Job]) -> Table:
    """A line per stage with its jobs, each with a mark for its status.

    A job that ran again has a new, higher id; so the nine stages come in their own order, others by the ids.
    """
    stages: dict[str, Text] = {}
    for job in sorted(jobs, key=lambda job: (STAGES.index(job.stage) if job.stage in STAGES else len(STAGES), job.id)):
        stages.setdefault(job.stage, Text()).append_text(_job(job))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right", min_width=10)
    table.add_column(overflow="fold")
    for stage, line in stages.items():
        table.add_row(stage, line)
    return table


def _job(job: Job) -> Text:
    mark, style = {"success": ("✓", "green"), "failed": ("✗", "red")}.get(job.status, ("·", "dim"))
    took = f" {job.duration:.1f} s" if job.duration and job.duration >= VISIBLE_SECONDS else ""
    note = "" if job.status in {"success", "failed"} else f" ({job.status})"
    return Text(f"{mark} {job.name}{note}{took}   ", style=style)


def _repair(repair: Repair) -> Iterable[RenderableType]:
    yield Text(f"healed for attempt {repair.attempt}: {repair.error_class} in {repair.job}", style="yellow")
    yield Text(f"  evidence  {repair.evidence.text.strip()[:200]}")
    yield Text(f"  repair    {repair.strategy} by {repair.author}: {repair.summary}")
    if repair.diff:
        yield Syntax(repair.diff, "diff", background_color="default", word_wrap=True)


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """The runs by their ids, which begin with the time."""
    return sorted(runs, key=lambda run: run.run_id, reverse=True)


def runs_table(runs: Iterable[Run]) -> Table:
    """One line per run, newest first."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("run", "status", "phase", "attempt", "decision", "repository"):
        overflow: OverflowMethod = "fold" if column == "repository" else "ellipsis"
        table.add_column(column, overflow=overflow, no_wrap=column in {"run", "status"})
    for run in newest_first(runs):
        style = STATUS_STYLES[run.status]
        repository = run.submission.repo_url if run.submission else ""
        table.add_row(
            run.run_id, f"[{style}]{run.status}[/]", run.phase, str(run.attempt), run.decision or "", Text(repository)
        )
    return table
