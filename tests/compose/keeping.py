"""What must hold of runs in the log and in GitLab, whatever happened to the containers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from shared.events import CommitCreated
from shared.history import fold
from tests.compose.conftest import DEADLINE, Stack

MARKS = (
    pytest.mark.engine,
    pytest.mark.stack,
    # A published port answers while the server behind it is away; nats-py then forgets to close what it opened.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore:loop is closed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
)


async def api(stack: Stack, path: str, **parameters: str) -> Any:
    """What the sandbox's GitLab answers."""
    token = (stack.folder / "secrets" / "gitlab_token").read_text()
    url = f"http://{stack.environment['PUBLISH_GITLAB']}/api/v4/projects/{path}"
    async with httpx.AsyncClient(timeout=DEADLINE) as client:
        answer = await client.get(url, params=parameters, headers={"PRIVATE-TOKEN": token})
        return answer.raise_for_status().json()


async def assert_kept(stack: Stack, runs: Iterable[str]) -> None:
    """Every run passed, the log has one event for each subject, and git one commit for each that the log tells of."""
    for run_id in runs:
        records = await stack.bus.history(run_id)
        assert fold(records).status == "passed", (run_id, records[-1].event)
        assert max(Counter(recorded.subject for recorded in records).values()) == 1
        made = {r.event.commit.sha: r.event.commit for r in records if isinstance(r.event, CommitCreated)}
        [where] = {(commit.project_id, commit.branch) for commit in made.values()}
        between = await api(stack, f"{where[0]}/repository/compare", **{"from": "main", "to": where[1]})
        assert {commit["id"] for commit in between["commits"]} == made.keys()
    assert await stack.bus.dead_letters() == []
