"""Three NATS servers and two containers of each service: one server after another is away, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dotenv import dotenv_values

from tests.compose.conftest import ROOT, SERVICES, started
from tests.compose.keeping import MARKS, assert_kept

pytestmark = [*MARKS, pytest.mark.asyncio(loop_scope="module")]


async def test_a_cluster_goes_on_without_one_of_its_servers(environment: dict[str, str]) -> None:
    """Every stream is on all three; each of the other two is killed with runs on their way, whichever leads."""
    cluster = {name: value or "" for name, value in dotenv_values(ROOT / "deploy" / "cluster.env").items()}
    any_ports = {"PUBLISH_GATEWAY": "127.0.0.1:"}
    async with started({**environment, **cluster, **any_ports}, "sandbox", "cluster") as containers:
        assert all([len(await containers.containers(service)) == 2 for service in SERVICES])
        since = datetime.now(UTC)
        runs = [await containers.submit(f"first-{number}") for number in range(2)]
        await containers.first(since, "repo.analyzed")
        await containers.kill("nats-2")
        await assert_kept(containers, await containers.ends(runs))
        await containers.compose("up", "--wait", "--no-recreate")
        runs = [await containers.submit(f"second-{number}") for number in range(2)]
        await containers.first(since, "commit.created")
        await containers.kill("nats-3")
        await assert_kept(containers, await containers.ends(runs))
