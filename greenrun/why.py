"""`greenrun why`: one run on one screen.

What happened, where the time went, what it cost, what is wrong and what to do.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from greenrun import view
from greenrun.exits import finish
from greenrun.place import history_of, running_log
from shared import events, retry
from shared.dead_letters import waiting
from shared.history import fold
from shared.topology import EVENTS_STREAM, TOPOLOGY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from shared.bus import Bus, Recorded
    from shared.dead_letters import DeadLetter
    from shared.events import Round
    from shared.history import Run

READER = {row.reads.type: row.service for row in TOPOLOGY if row.reads}
PERSON = "a person"
BAR = 24
console = Console()


@dataclass(frozen=True)
class Share:
    """What one phase took of a run: seconds in all attempts, and how many events it made."""

    phase: str
    seconds: float
    events: int


@dataclass(frozen=True)
class Hand:
    """The consumer that has the run's last event: who listens there, and what waits before and in hand."""

    service: str
    listening: int = 0
    pending: int = 0
    in_hand: int = 0
    redelivered: int = 0


@dataclass(frozen=True)
class Account:
    """All that is said about a run; `cost` in US dollars, None where no provider told."""

    run: Run
    story: tuple[str, ...]
    shares: tuple[Share, ...]
    tokens: int
    cost: float | None
    wrong: tuple[str, ...]
    advice: tuple[str, ...]


def why(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's id")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """Say on one screen how a run stands, where its time went, what it cost, what is wrong and what to do."""
    account = finish(_account(run))
    if as_json:
        console.print_json(json.dumps(document(account)))
    else:
        console.print(screen(account))


async def _account(run_id: str) -> Account:
    async with running_log() as bus:
        records = await history_of(bus, run_id)
        letters = [letter for letter in waiting(await bus.dead_letters()) if letter.run_id == run_id]
        hand = await _hand(bus, records)
    return account_of(records, letters, hand, datetime.now(UTC))


async def _hand(bus: Bus, records: Sequence[Recorded]) -> Hand | None:
    """The consumer that the last event waits for; None where no service reads it."""
    service = READER.get(records[-1].event.type)
    if service is None:
        return None
    info = await bus.jetstream(f"CONSUMER.INFO.{EVENTS_STREAM}.{service}")
    names = ("num_waiting", "num_pending", "num_ack_pending", "num_redelivered")
    return Hand(service, *(int(info.get(name) or 0) for name in names))


def account_of(records: Sequence[Recorded], letters: Sequence[DeadLetter], hand: Hand | None, now: datetime) -> Account:
    """The account of a run; pure."""
    run = fold(records)
    costs = [one.cost for one in run.rounds if one.cost is not None]
    return Account(
        run=run,
        story=tuple(_story(records)),
        shares=tuple(shares(records, now)),
        tokens=sum(one.prompt_tokens + one.answer_tokens for one in run.rounds),
        cost=sum(costs) if costs else None,
        wrong=tuple(_wrong(run, letters, hand)),
        advice=tuple(_advice(run, records, letters, hand)),
    )


def shares(records: Sequence[Recorded], now: datetime) -> list[Share]:
    """What each phase took, in the order in which they came; each event counts from the one that caused it.

    What lies between the end of a run and its retry is a person's; the phase that has the run in hand counts until now.
    """
    at = {record.subject: record.time for record in records}
    seconds: dict[str, float] = defaultdict(float)
    events: dict[str, int] = defaultdict(int)
    before = records[0].time
    for record in records[1:]:
        phase = PERSON if record.again or record.event.type == "run.cancelled" else record.source
        since = before if phase == PERSON else at.get(record.cause or "", before)
        seconds[phase] += max(0.0, (record.time - since).total_seconds())
        events[phase] += 1
        before = record.time
    if fold(records).status == "running" and (service := READER.get(records[-1].event.type)):
        seconds[service] += max(0.0, (now - before).total_seconds())
        events.setdefault(service, 0)
    return [Share(phase, round(took, 3), events[phase]) for phase, took in seconds.items()]


def _story(records: Iterable[Recorded]) -> Iterable[str]:
    """A line for each attempt: how it began and how far it came."""
    attempts: dict[int, list[str]] = defaultdict(list)
    for record in records:
        attempts[record.event.attempt] += _told(record)
    for attempt, words in sorted(attempts.items()):
        yield f"attempt {attempt}: {'; '.join(words)}"


def _told(record: Recorded) -> list[str]:
    """What is worth a word in the story of an attempt."""
    event = record.event
    words = [f"{record.by or record.source} retried it from {event.type}"] if record.again else []
    if isinstance(event, events.RepoSubmitted) and not record.again:
        words.append(f"submitted by {record.by or event.requested_by or record.source}")
    elif isinstance(event, events.FilesGenerated) and event.proposal.repairs and not record.again:
        words.append(view.say(event))
    elif isinstance(event, events.CommitCreated):
        words.append(f"commit {event.commit.sha[:8]}")
    elif isinstance(event, events.PipelineFailed | events.PipelinePassed):
        words.append(f"pipeline {event.type.partition('.')[2]}")
    elif isinstance(event, events.RunFailed):
        words.append(f"ended in the {event.phase}")
    elif event.type in {"template.stored", "run.cancelled"}:
        words.append(view.say(event))
    return words


def _wrong(run: Run, letters: Sequence[DeadLetter], hand: Hand | None) -> Iterable[str]:
    """What is wrong, each in a sentence."""
    if run.failure:
        yield f"{run.failure.phase}: {run.failure.reason}"
        if run.failure.evidence:
            yield f"evidence: {' '.join(run.failure.evidence.split())[:400]}"
    if run.status == "failed" and run.pipeline:
        yield from run.pipeline.reasons[:3]
    for letter in letters:
        same = run.failure is not None and letter.reason == run.failure.reason
        yield f"the dead letter {letter.id} waits for a person{'' if same else f': {letter.reason}'}"
    failed = [image for image in run.images if image.state in {"failed", "unresolved"}]
    if failed and run.status != "passed":
        named = ", ".join(image.target or image.source for image in failed[:3])
        words = f" ({failed[0].reason[:120]})" if failed[0].reason else ""
        yield f"not in the registry: {named}{words}{f' and {len(failed) - 3} more' if len(failed) > 3 else ''}"  # noqa: PLR2004 - those named
    if run.status == "running" and hand:
        yield from _in_hand(hand)


def _in_hand(hand: Hand) -> Iterable[str]:
    if not hand.listening and not hand.in_hand:
        yield f"no {hand.service} is running: nobody asks for its events, {_many(hand.pending)}"
    if hand.redelivered:
        yield f"events come to the {hand.service} again and again ({hand.redelivered} of them now); its log says why"


def _many(count: int) -> str:
    return "1 waits" if count == 1 else f"{count} wait"


def _advice(run: Run, records: Sequence[Recorded], letters: Sequence[DeadLetter], hand: Hand | None) -> Iterable[str]:
    """What a person can do, the first thing first."""
    url = run.submission.repo_url if run.submission else "URL"
    if run.status == "running":
        away = hand is not None and not hand.listening and not hand.in_hand
        yield f"start it: python -m services.{hand.service}" if hand and away else f"greenrun watch {run.run_id}"
    elif run.status == "cancelled":
        yield f"start anew: greenrun submit {url}"
    elif run.status == "committed":
        yield f"to have it proven: greenrun retry {run.run_id} --from images.seeded --set skip_ci=false"
    elif run.status == "failed" or letters:
        yield from _again(run, records, letters)
    if run.merge_request and run.merge_request.web_url and run.status == "passed":
        yield f"merge it: {run.merge_request.web_url}"


def _again(run: Run, records: Sequence[Recorded], letters: Sequence[DeadLetter]) -> Iterable[str]:
    try:
        event = retry.plan(records, now=datetime.now(UTC)).event
    except retry.NotRetryable as error:
        yield str(error)
    else:
        how = f"dlq redrive {letters[0].id}" if letters else f"retry {run.run_id}"
        yield f"once that is mended: greenrun {how} (goes on from {event.type}, attempt {event.attempt})"
    yield from (f"or let the letter go: greenrun dlq discard {letter.id}" for letter in letters)


def screen(account: Account) -> RenderableType:
    """The account for a terminal."""
    run, style = account.run, view.STATUS_STYLES[account.run.status]
    parts: list[RenderableType] = [Text(run.submission.repo_url if run.submission else "", "bold"), ""]
    parts += [_listed("what happened", account.story), "", _times(account.shares), "", _cost(account)]
    if account.wrong:
        parts += ["", _listed("what is wrong", account.wrong, "red" if run.status == "failed" else "yellow")]
    if account.advice:
        parts += ["", _listed("what to do", account.advice, "bold")]
    return Panel(Group(*parts), title=f"[{style}]{run.status}[/] · run {run.run_id}", border_style=style)


def _listed(title: str, lines: Iterable[str], style: str = "") -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", min_width=13)
    rows.add_column(overflow="fold")
    for number, line in enumerate(lines):
        rows.add_row("" if number else title, Text(line, style))
    return rows


def _times(found: Sequence[Share]) -> Table:
    """A bar for each phase, as long as its share."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", min_width=13)
    for justify in ("left", "right", "left"):
        rows.add_column(justify=justify, no_wrap=True)
    phases = [share for share in found if share.phase != PERSON]
    longest = max((share.seconds for share in phases), default=0.0) or 1.0
    for number, share in enumerate(phases):
        bar = Text("━" * max(1, round(BAR * share.seconds / longest)), "cyan")
        rows.add_row("" if number else "time", share.phase, _seconds(share.seconds), bar)
    rows.add_row("" if phases else "time", "in all", _seconds(sum(share.seconds for share in phases)), "")
    for share in set(found) - set(phases):
        rows.add_row("", "waited", _seconds(share.seconds), Text(f"for {share.phase}", "dim"))
    return rows


def _seconds(seconds: float) -> str:
    """Seconds, and minutes where they are many."""
    return f"{seconds:.2f} s" if seconds < 100 else f"{int(seconds // 60)} min {seconds % 60:.0f} s"  # noqa: PLR2004


def _cost(account: Account) -> Table:
    rounds = account.run.rounds
    words = view.asked_words(rounds) if rounds else "no model was asked"
    return _listed("cost", [words, *_by_phase(rounds)])


def _by_phase(rounds: Iterable[Round]) -> Iterable[str]:
    """Tokens and seconds of each phase that asked, where there are several."""
    phases: dict[str, list[Round]] = defaultdict(list)
    for one in rounds:
        phases[one.phase].append(one)
    if len(phases) > 1:
        for phase, ones in phases.items():
            tokens = sum(one.prompt_tokens + one.answer_tokens for one in ones)
            yield f"{phase}: {len(ones)} rounds, {tokens} tokens, {sum(one.seconds for one in ones):.1f} s"


def document(account: Account) -> Mapping[str, Any]:
    """The account as JSON."""
    run = account.run
    return {
        "run_id": run.run_id,
        "status": run.status,
        "phase": run.phase,
        "attempt": run.attempt,
        "story": account.story,
        "time": [asdict(share) for share in account.shares],
        "tokens": account.tokens,
        "cost": account.cost,
        "wrong": account.wrong,
        "advice": account.advice,
    }
