"""What a person does about a run, with the command, on the whole system."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from greenrun import embedded
from greenrun.log import verdict
from shared.bus import Bus
from shared.events import RepoSubmitted
from shared.history import fold
from shared.settings import CommonSettings
from tests.bus.conftest import Handler, running, settled
from tests.e2e.conftest import System
from tests.operate.conftest import Command, project, pushed

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def test_a_run_that_lacked_an_image_is_green_once_it_was_pushed_and_the_run_retried(
    cli: Command, system: System
) -> None:
    """`why` says which image and what to do; the retry takes the files again; one commit for each attempt."""
    run_id = await system.submit(await project(system, "operate/shop", "flask-shop"))
    images = fold(await system.end(run_id)).images
    [missing] = [image.target for image in images if image.state == "failed"]
    told = await cli("why", run_id)
    for words in ("not in the registry: ", "python:3.12.42-slim", f"greenrun retry {run_id} (goes on from files."):
        assert words in told.out
    await _refused(cli, system, run_id)
    await pushed(missing, next(image.target for image in images if image.state != "failed"))

    done = await cli("retry", run_id, "--watch")
    assert done.code == 0, done.out + done.err
    assert "goes on from files.generated as attempt 2" in done.out
    assert "retried by " in done.out
    again = await cli("retry", run_id, "--from", "images.seeded", "--watch", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out.splitlines()[-1])["type"] == "template.stored"

    run = fold(await system.bus.history(run_id))
    assert (run.status, run.attempt) == ("passed", 3)
    assert run.commit
    wanted = [f"images.seeded.{run_id}.{attempt}" for attempt in (1, 2, 3)]
    assert await trailers(system, "operate/shop", run.commit.branch) == wanted
    account = json.loads((await cli("why", run_id, "--json")).out)
    phases = {share["phase"]: share["events"] for share in account["time"]}
    assert (phases["committer"], phases["a person"], account["wrong"]) == (3, 2, [])
    await _retried_elsewhere(cli, run_id)


async def _refused(cli: Command, system: System, run_id: str) -> None:
    """What cannot be retried is a wrong call with its reason; nothing is published."""
    before = len(await system.bus.history(run_id))
    for arguments, words in (
        (("--from", "nonsense"), "it can from repo.submitted"),
        (("--from", "pipeline.passed"), "has no pipeline.passed; it came to"),
        (("--set", "colour=red"), "there is no option 'colour'"),
        (("--from", "images.seeded", "--set", "ref=main"), "ref makes no difference after repo.submitted"),
    ):
        done = await cli("retry", run_id, *arguments)
        assert (done.code, words in done.err) == (2, True), done.err
    assert len(await system.bus.history(run_id)) == before
    assert (await cli("retry", "01NOBODY")).code == 2


async def _retried_elsewhere(cli: Command, run_id: str) -> None:
    """The same files on another branch, without a pipeline."""
    options = ("--set", "branch=ci/green", "--set", "skip_ci=true")
    done = await cli("retry", run_id, "--from", "images.seeded", *options, "--watch")
    assert done.code == 0, done.out + done.err
    assert "on ci/green" in done.out
    told = await cli("why", run_id)
    assert f"to have it proven: greenrun retry {run_id} --from images.seeded --set skip_ci=false" in told.out


async def test_events_are_chosen_by_type_and_time(cli: Command, system: System) -> None:
    """Of all runs: each line says when, which run, and what; an unknown type or time is a wrong call."""
    run_id = await system.submit("https://gitlab.example/no/thing.git")
    await system.end(run_id)
    done = await cli("events", "--type", "repo.submitted", "--since", "1h")
    assert run_id in done.out
    assert "run.failed" not in done.out
    lines = [
        json.loads(line)
        for line in (await cli("events", run_id, "--type", "repo.submitted", "--json")).out.splitlines()
    ]
    assert [line["type"] for line in lines] == [RepoSubmitted.type]
    assert (await cli("events", "--since", "2099-01-01")).out == ""
    assert "there is no event type x" in (await cli("events", "--type", "x")).err
    assert (await cli("events", "--since", "yesterday")).code == 2


async def test_a_dead_letter_is_seen_redriven_and_discarded(cli: Command, system: System) -> None:
    """The project was missing: once it is there the letter goes through; another one is let go, with a reason."""
    url = await project(system, "operate/source")
    first, second = [await system.submit(url, project="operate/wanted", branch=f"ci/{name}") for name in "ab"]
    for run_id in (first, second):
        await system.end(run_id)
    listed = {one["run_id"]: one["id"] for one in json.loads((await cli("dlq", "list", "--json")).out)}
    assert set(listed) >= {first, second}
    assert listed[first] in (await cli("dlq", "list")).out
    shown = await cli("dlq", "show", listed[first])
    for words in ("committer", "operate/wanted", f"images.seeded.{first}.1", f"greenrun why {first}"):
        assert words in shown.out
    assert f"the dead letter {listed[first]} waits for a person" in (await cli("why", first)).out

    await project(system, "operate/wanted")
    done = await cli("dlq", "redrive", listed[first])
    assert (done.code, f"goes on as images.seeded.{first}.2" in done.out) == (0, True), done.err
    passed = await system.until(first, lambda recorded: recorded.event.type == "template.stored")
    assert fold(passed).status == "passed"
    again = await cli("dlq", "redrive", listed[first])
    assert (again.code, "was redriven by" in again.err) == (2, True)

    assert (await cli("dlq", "discard", listed[second], "--reason", "no longer wanted")).code == 0
    assert listed[second] not in (await cli("dlq", "list")).out
    assert "discarded by" in (await cli("dlq", "show", listed[second])).out
    assert "no longer wanted" in (await cli("dlq", "list", "--all")).out
    assert (await cli("dlq", "show", "committer.0")).code == 2


async def test_a_run_is_exported_without_tokens_and_retried_where_it_was_imported(
    cli: Command, system: System, tmp_path: Path
) -> None:
    """As history on another machine: no service acts on it until a phase is told again; the trace is in the archive."""
    url = await project(system, "operate/reported", "flask-shop")
    run_id = await system.submit(url, author="A glpat-abcdefghij0123456789 <ada@example.com>")
    await system.end(run_id)
    secret = str(system.local.values["gitlab_token"])
    file = tmp_path / "run.zip"
    assert (await cli("export", run_id, "--out", str(file))).code == 0
    assert (await cli("export", run_id, "--out", str(file))).code == 2
    with zipfile.ZipFile(file) as bundle:
        texts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert "files/1/.gitlab-ci.yml" in texts
    if fold(await system.bus.history(run_id)).status == "failed":
        assert any(name.startswith("traces/1/") for name in texts)
    assert not [name for name, text in texts.items() if secret in text or "glpat-abcdefghij" in text]
    assert "${REMOVED_SECRET}" in texts["events.jsonl"]
    here = await cli("import", str(file))
    assert (here.code, "is here already" in here.err) == (2, True)

    other = tmp_path / "other"
    elsewhere = Command(other)
    assert "start it with: greenrun up" in (await elsewhere("import", str(file))).err
    async with (
        embedded.nats_server(tmp_path / "nats") as nats_url,
        Bus.connect(CommonSettings(nats_url=nats_url), "test") as bus,
    ):
        await bus.provision()
        other.mkdir()
        (other / "up.json").write_text(json.dumps({"values": {"nats_url": nats_url}, "pid": os.getpid()}))
        assert (await elsewhere("import", str(file), NATS_URL=nats_url)).code == 2
        done = await elsewhere("import", str(file))
        assert done.code == 0, done.err
        brought, original = await bus.history(run_id), await system.bus.history(run_id)
        assert [(r.subject, r.time, r.cause) for r in brought] == [(r.subject, r.time, r.cause) for r in original]
        assert (await verdict(bus)).problems == ()
        handler = Handler()
        async with running(CommonSettings(nats_url=nats_url), handler):
            again = await elsewhere("retry", run_id, "--from", "repo.submitted")
            assert again.code == 0, again.err
            await settled(bus)
        assert [event.attempt for event in handler.calls] == [2]


async def trailers(system: System, path: str, branch: str) -> list[str]:
    """The events that the branch's commits were made for, oldest first, as GitLab shows them."""
    headers = {"PRIVATE-TOKEN": str(system.local.values["gitlab_token"])}
    url = f"{system.gitlab.url}/api/v4/projects/{quote(path, safe='')}/repository/commits"
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.get(url, params={"ref_name": branch, "per_page": 100})
    lines = [line for commit in answer.raise_for_status().json() for line in commit["message"].splitlines()]
    mark = "Greenrun-Event: "
    return [line.removeprefix(mark) for line in reversed(lines) if line.startswith(mark)]
