"""A run as it is followed in a terminal: its events, and between them how far a model or a copy is."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from greenrun import embedded
from greenrun.follow import follow, under_way
from shared.bus import Bus
from shared.events import RunCancelled, Submission
from shared.settings import CommonSettings


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"model": "qwen3", "tokens": 812}, "qwen3 writes, 812 tokens"),
        ({"image": "nexus:5001/python:3.12-slim", "bytes": 31_456_000}, "python:3.12-slim, 31.5 MB"),
        ({"image": "nexus:5001/x[red]\x1b[2J", "bytes": "many"}, "nexus:5001/x\\[red] [2J"),
        ({}, ""),
    ],
)
def test_progress_is_a_few_words(said: dict[str, object], words: str) -> None:
    """Whatever is told there: numbers a person reads, and nothing that a terminal obeys."""
    assert under_way(said) == words


async def test_what_is_told_is_shown_while_it_lasts(tmp_path: Path) -> None:
    """The bar of the run says how many tokens there are, and the run's end is printed."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    async with (
        embedded.nats_server(tmp_path / "nats") as url,
        Bus.connect(CommonSettings(nats_url=url), "test") as bus,
    ):
        await bus.provision()
        run_id = (await bus.submit(Submission(repo_url="https://gitlab.example/a/b"), "test")).run_id
        following = asyncio.create_task(follow(bus, run_id, console))
        async with asyncio.timeout(30):
            while "812 tokens" not in screen.getvalue():
                await bus.tell(f"live.progress.{run_id}", {"model": "qwen3", "tokens": 812})
                await asyncio.sleep(0.1)
            await bus.publish(RunCancelled(run_id=run_id, cancelled_by="a person"), source="test")
            run = await following
    assert run.status == "cancelled"
    assert "cancelled by a person" in screen.getvalue()
