"""`greenrun sandbox`: faults are asked for by command, and jobs run as the command says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import gitlab
import httpx
import pytest
from typer.testing import CliRunner

from greenrun.cli import app
from sandbox.gitlab.server import GitLabServer, serve

DEADLINE = 30.0
TOKEN = "glpat-cli"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitLabServer]:
    """The sandbox's GitLab with one project."""
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as started:
        await started.create_project("shop/web", files={".gitlab-ci.yml": b"a: {script: [x]}\n"})
        yield started


async def command(url: str, *arguments: str, token: str = TOKEN) -> tuple[int, str, str]:
    """Exit code, output and errors of `greenrun sandbox`, in a thread because the server runs in this process."""
    env = {"GITLAB_URL": url, "GITLAB_TOKEN": token, "COLUMNS": "200", "GREENRUN_HOME": "/nowhere"}
    done = await asyncio.to_thread(CliRunner().invoke, app, ["sandbox", *arguments], env=env)
    return done.exit_code, done.stdout, done.stderr


async def test_faults_are_listed_added_and_cleared(server: GitLabServer) -> None:
    """The kinds with what they do; one that waits is shown, and no longer after `clear`."""
    code, out, _ = await command(server.url, "faults", "list")
    assert (code, "image-gone" in out, "waits:" in out) == (0, True, False)
    _, out, _ = await command(server.url, "faults", "add", "timeout", "--project", "shop/web", "--job", "a")
    assert out.strip() == "timeout in the next pipeline of shop/web, job a"
    code, out, _ = await command(server.url, "faults", "list", "--json")
    [waiting] = json.loads(out)["waiting"]
    assert (code, waiting["name"], waiting["project"], waiting["job"]) == (0, "timeout", "shop/web", "a")
    assert (await command(server.url, "faults", "clear"))[0] == 0
    assert server.forge.store.list("fault") == []


async def test_what_is_wrong_is_one_sentence(server: GitLabServer) -> None:
    """An unknown fault or project: 2; a server that is not there: 3; a token that is nobody's: 2."""
    code, _, err = await command(server.url, "faults", "add", "earthquake")
    assert (code, err.count("\n"), "disk-full" in err) == (2, 1, True)
    code, _, err = await command(server.url, "faults", "add", "timeout", "--project", "no/where")
    assert (code, err) == (2, "greenrun: 404 Project Not Found\n")
    code, _, err = await command(server.url, "faults", "list", token="wrong")
    assert (code, err) == (2, "greenrun: 401 Unauthorized\n")
    code, _, err = await command("http://127.0.0.1:9", "faults", "list")
    assert (code, "does not answer; start it with" in err) == (3, True)


async def test_jobs_run_as_the_command_says(tmp_path: Path) -> None:
    """`greenrun sandbox gitlab --executor shell` runs what a commit says, with the variable that was passed."""
    options = ("--token", TOKEN, "--executor", "shell", "--pass-env", "GREETING")
    async with running(tmp_path, "gitlab", *options) as url:

        def commit() -> str:
            with gitlab.Gitlab(url, private_token=TOKEN, timeout=10) as api:
                project = api.projects.create({"name": "p"})
                content = 'a: {script: ["echo $GREETING $((20 + 22))"]}\n'
                action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": content}
                project.commits.create({"branch": "main", "commit_message": "m", "actions": [action]})
                job = project.jobs.list(get_all=True)[0]
                while job.status in {"created", "pending", "running"}:
                    job.refresh()
                return f"{job.status} {project.jobs.get(job.id).trace().decode()}"

        said = await asyncio.wait_for(asyncio.to_thread(commit), DEADLINE)
    assert said.startswith("success")
    assert "hello 42" in said


async def test_links_begin_with_the_address_that_others_use(tmp_path: Path) -> None:
    """The server listens where --host says, and its links say what --url does."""
    asked = ("--host", "localhost", "--url", "http://gitlab.test:8929/")
    async with running(tmp_path, "gitlab", *asked, GITLAB_TOKEN=TOKEN) as url:
        assert url == "http://gitlab.test:8929"


async def test_the_registries_run_alone(tmp_path: Path) -> None:
    """An empty registry, and the upstream with an image under the full name of its source."""
    async with running(tmp_path, "registry", "--host", "localhost") as where, httpx.AsyncClient() as client:
        assert (await client.get(f"http://{where}/v2/_catalog")).json() == {"repositories": []}
    async with running(tmp_path, "upstream", "--host", "localhost") as where, httpx.AsyncClient() as client:
        tags = (await client.get(f"http://{where}/v2/docker.io/library/python/tags/list")).json()["tags"]
        assert "3.12-slim" in tags


@asynccontextmanager
async def running(tmp_path: Path, part: str, *options: str, **variables: str) -> AsyncIterator[str]:
    """The address of a part of the sandbox that the command started, as it says itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from greenrun.cli import main; main()", "sandbox", part, "--port", "0"),
        *("--data", str(tmp_path / part), *options),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GREETING": "hello", "COLUMNS": "200", **variables},
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DEADLINE)
    try:
        yield line.decode().split(" at ")[1].split(",")[0]
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 0
