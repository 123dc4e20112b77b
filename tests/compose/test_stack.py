"""The whole system in containers: it goes green, and nothing is lost whatever happens to its containers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shared.adapters.gitlab_hooks import install_hook
from shared.events import CommitCreated
from shared.history import fold
from shared.news import EVERY_SUBJECT
from tests.compose.conftest import BUILD_SECONDS, DEADLINE, SERVICES, ComposeError, Stack, command

pytestmark = [
    pytest.mark.engine,
    pytest.mark.stack,
    pytest.mark.asyncio(loop_scope="module"),
    # A published port answers while the server behind it is away; nats-py then forgets to close what it opened.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore:loop is closed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


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


async def test_the_demo_goes_green_on_it(containers: Stack) -> None:
    """`greenrun demo --compose`: one run is healed, the next takes the template that was learned."""
    said = await command(containers.environment, containers.folder, "demo", "--compose")
    assert "one pipeline healed and learned, the next one green from the template at once" in said
    assert "chromadb-direct" in said


async def test_webhooks_reach_the_gateway_by_its_name(containers: Stack) -> None:
    """GitLab tells the gateway how the pipeline ended, the gateway everybody on the log's server."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    secret = (containers.folder / "secrets" / "webhook_secret").read_text()
    project = await containers.gitlab.create_project("root/hooked")
    await install_hook(containers.gitlab, project, "http://gateway:8080/api/v1/webhooks/gitlab", secret)
    async with containers.bus.listen(EVERY_SUBJECT, lambda said: heard.put_nowait(said["status"])):
        await assert_kept(containers, await containers.ends([await containers.submit("hooked")]))
        async with asyncio.timeout(DEADLINE):
            while await heard.get() != "success":
                pass


async def test_a_network_leads_only_where_it_should(containers: Stack) -> None:
    """The learner has no way to GitLab; the committer has one, and none to the templates."""
    call = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    ask = ("exec", "-T")
    assert await containers.compose(*ask, "committer", "python", "-c", call, "gitlab", "8929") == ""
    for service, host, port in (("learner", "gitlab", "8929"), ("committer", "chroma", "8000")):
        with pytest.raises(ComposeError, match=r"Name or service not known|failure in name resolution"):
            await containers.compose(*ask, service, "python", "-c", call, host, port)


async def test_nothing_is_lost_when_containers_are_killed(containers: Stack) -> None:
    """Every service and the log's server itself, each with runs on their way, come back and go on."""
    since = datetime.now(UTC)
    runs = [await containers.submit(f"killed-{number}") for number in range(4)]
    await containers.first(since, "repo.analyzed")
    await containers.kill("retriever", "generator", "seeder", "analyzer")
    await containers.first(since, "images.seeded")
    await containers.kill("committer", "nats")
    await containers.first(since, "commit.created")
    await containers.kill("monitor", "learner", "healer", "gateway")
    await assert_kept(containers, await containers.ends(runs))
    for service in (*SERVICES, "nats"):
        [container] = await containers.containers(service)
        assert int(await containers.inspect(container, "{{.RestartCount}}")) >= 1, service
    await containers.compose("up", "--wait", "--no-recreate")


async def test_a_service_is_scaled_and_another_upgraded_while_runs_are_in_flight(containers: Stack) -> None:
    """Two generators share the work; the committer is replaced by a new image; no run notices."""
    await containers.compose("build", "--quiet", "committer", GREENRUN_TAG="next", seconds=BUILD_SECONDS)
    since = datetime.now(UTC)
    runs = [await containers.submit(f"moved-{number}") for number in range(4)]
    await containers.first(since, "files.generated")
    only = ("up", "--detach", "--wait", "--no-deps")
    await containers.compose(*only, "committer", GREENRUN_TAG="next")
    await containers.compose(*only, "--no-recreate", "--scale", "generator=2", "generator")
    runs += [await containers.submit(f"moved-{number}") for number in range(4, 6)]
    await assert_kept(containers, await containers.ends(runs))
    [committer] = await containers.containers("committer")
    assert (await containers.inspect(committer, "{{.Config.Image}}")).endswith("/committer:next")
    states = [
        await containers.inspect(one, "{{.State.Health.Status}}") for one in await containers.containers("generator")
    ]
    assert states == ["healthy", "healthy"]


async def test_the_stack_goes_down_and_comes_up_with_all_it_had(containers: Stack) -> None:
    """`down` with runs on their way, `up` again: they end, and what had ended before is as it was."""
    before = {recorded.subject: recorded.sequence for recorded in await containers.bus.all_events()}
    since = datetime.now(UTC)
    runs = [await containers.submit(f"kept-{number}") for number in range(3)]
    await containers.first(since, "files.generated")
    await containers.compose("down", "--timeout", "20")
    await containers.compose("up", "--wait")
    await containers.ends(runs)
    after = {recorded.subject: recorded.sequence for recorded in await containers.bus.all_events()}
    assert before.items() <= after.items()
    await assert_kept(containers, {subject.split(".")[2] for subject in after})
