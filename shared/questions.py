"""What one program asks another over NATS and waits for: no events, kept nowhere, answered or not within a time."""

from __future__ import annotations

from shared.events import Analysis, Fact

ANALYSIS = "ask.analysis"


class Look(Fact):
    """What is this repository? Asked of the analyzers; nothing is submitted."""

    repo_url: str
    ref: str | None = None
    subfolder: str | None = None


class Seen(Fact):
    """The analysis of a repository, or why there is none; `busy` where the same question may be answered later."""

    commit_sha: str = ""
    analysis: Analysis | None = None
    refusal: str = ""
    busy: bool = False
