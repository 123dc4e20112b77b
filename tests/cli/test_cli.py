"""The command as a person runs it: a process, its output, its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from greenrun import embedded, local
from shared.bus import Bus
from shared.events import Submission
from shared.settings import CommonSettings
from tests.e2e.conftest import DEADLINE, QUICK

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
SAMPLES = Path(local.__file__).parent / "samples"


@dataclass(frozen=True)
class Done:
    """How the command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cli:
    """Runs the command against one home folder."""

    home: Path
    system: local.Local | None = None

    async def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run it to its end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from greenrun.cli import main; main()", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "GREENRUN_HOME": str(self.home), "COLUMNS": "200", **(env or {})},
        )
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
        return Done(process.returncode or 0, out.decode(), err.decode())

    async def project(self, path: str, sample: str = "flask-notes") -> str:
        """A repository on the sandbox."""
        assert self.system is not None
        assert self.system.gitlab is not None
        made = await self.system.gitlab.create_project(path, from_dir=SAMPLES / sample)
        return str(made["http_url_to_repo"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cli(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cli]:
    """The command beside a running system, found through its home folder."""
    home = tmp_path_factory.mktemp("home")
    async with local.start(home, overrides=QUICK) as system:
        yield Cli(home, system)


async def test_submit_and_watch_follow_the_run_to_green(cli: Cli) -> None:
    """A line per event, the summary, exit code 0."""
    done = await cli("submit", await cli.project("cli/notes"), "--watch")
    assert done.code == 0, done.err
    for word in ("repo.submitted", "python · flask · 3.12 · pip", "pipeline.passed", "template.stored", "passed"):
        assert word in done.out


async def test_submit_says_where_and_how_to_commit(cli: Cli) -> None:
    """The run ends with the commit, on the branch that was named; what cannot be is a wrong call."""
    url = await cli.project("cli/options")
    done = await cli("submit", url, "--branch", "ci/green", "--skip-ci", "--author", "Ada <ada@example.com>", "--watch")
    assert done.code == 0, done.err
    for word in ("on ci/green", "no pipeline was wanted", "committed"):
        assert word in done.out
    for wrong in (
        ("--author", "Ada"),
        ("--branch", "a b"),
        ("--create-project", "empty"),
        ("--create-project", "fork"),
    ):
        assert (await cli("submit", url, *wrong)).code == 2


async def test_json_is_one_event_a_line(cli: Cli) -> None:
    """What a script reads: events while watching, documents otherwise."""
    submitted = await cli("submit", await cli.project("cli/json"), "--json")
    run_id = json.loads(submitted.out)["run_id"]
    watched = [json.loads(line) for line in (await cli("watch", run_id, "--json")).out.splitlines()]
    assert [event["type"] for event in watched][-1] == "template.stored"
    assert [event["sequence"] for event in watched] == sorted(event["sequence"] for event in watched)
    listed = [json.loads(line) for line in (await cli("events", run_id, "--json")).out.splitlines()]
    assert listed == watched
    shown = json.loads((await cli("show", run_id, "--json")).out)
    assert (shown["status"], shown["run_id"]) == ("passed", run_id)
    runs = json.loads((await cli("runs", "--json")).out)
    assert run_id in {run["run_id"] for run in runs}
    assert runs == sorted(runs, key=lambda run: run["run_id"], reverse=True)


async def test_a_failed_run_exits_with_one_and_says_why(cli: Cli) -> None:
    """The reason is in the last event and in the summary."""
    assert cli.system is not None
    done = await cli("submit", f"{cli.system.values['gitlab_url']}/no/thing.git", "--watch")
    assert done.code == 1
    assert "analyzer: the repository" in done.out
    assert "was not found" in done.out
    run_id = next(word for word in done.out.split() if word.startswith("01"))
    assert "failed" in (await cli("show", run_id)).out
    assert run_id in (await cli("runs")).out
    assert "run.failed" in (await cli("events", run_id)).out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "01NOBODY"), 2, "there is no run 01NOBODY"),
        (("watch", "*.>"), 2, "there is no run"),
        (("submit", "https://user:secret@gitlab.example/a/b"), 2, "carries credentials"),
        (("submit", ""), 2, "at least 1 character"),
    ],
)
async def test_a_wrong_call_is_one_sentence(cli: Cli, arguments: tuple[str, ...], code: int, words: str) -> None:
    """No traceback; the secret is not repeated."""
    done = await cli(*arguments)
    assert done.code == code
    assert words in done.err
    assert "Traceback" not in done.err
    assert "secret" not in done.err


async def test_doctor_finds_everything_in_place(cli: Cli) -> None:
    """Each dependency with what was seen."""
    done = await cli("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.out)}
    assert {"git", "skopeo", "NATS", "GitLab", "registry", "ChromaDB", "model"} <= findings.keys()
    assert [name for name, finding in findings.items() if not finding["ok"]] == []
    assert done.code == 0


async def test_doctor_says_what_to_do_about_what_is_missing(tmp_path: Path) -> None:
    """Nothing runs: every server is named with advice, exit code 3."""
    port = embedded.free_port()
    env = dict.fromkeys(("GITLAB_URL", "OLLAMA_URL"), f"http://127.0.0.1:{port}")
    env |= {"NATS_URL": f"nats://127.0.0.1:{port}", "NEXUS_REGISTRY": f"127.0.0.1:{port}"}
    env |= {"CHROMADB_HOST": "127.0.0.1", "CHROMADB_PORT": str(port)}
    done = await Cli(tmp_path)("doctor", env=env)
    assert done.code == 3
    for advice in ("greenrun up", "GITLAB_TOKEN", "NEXUS_REGISTRY", "CHROMADB_HOST", "LLM_PROVIDER=rules"):
        assert advice in done.out


async def test_without_a_running_system_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    """Exit code 3 at once, instead of waiting for ever."""
    env = {"NATS_URL": f"nats://127.0.0.1:{embedded.free_port()}"}
    done = await Cli(tmp_path)("runs", env=env)
    assert (done.code, "greenrun up" in done.err) == (3, True)


async def test_a_run_is_cancelled_once(tmp_path: Path) -> None:
    """It has ended with the reason; a second time there is nothing to cancel."""
    async with embedded.nats_server(tmp_path / "nats") as url:
        env = {"NATS_URL": url}
        async with Bus.connect(CommonSettings(nats_url=url), "test") as bus:
            await bus.provision()
            run_id = (await bus.submit(Submission(repo_url="https://gitlab.example/a/b"), "test")).run_id
        cli = Cli(tmp_path)
        done = await cli("cancel", run_id, "--reason", "wrong repository", env=env)
        assert (done.code, f"run {run_id} is cancelled" in done.out) == (0, True)
        events = await cli("events", run_id, env=env)
        assert "cancelled by cli wrong repository" in events.out
        again = await cli("cancel", run_id, env=env)
        assert (again.code, "has cancelled" in again.err) == (1, True)


async def test_doctor_finds_a_setting_that_cannot_be_read(tmp_path: Path) -> None:
    """It is said where it is needed, by its name; what was set may be a secret and is not shown."""
    env = {"SEED_MIRRORS": "http://user:hunter2@cache:1", "CHROMADB_PORT": "hunter2"}
    done = await Cli(tmp_path)("doctor", "--json", env=env)
    seen = {finding["name"]: finding["seen"] for finding in json.loads(done.out)}
    assert "SEED_MIRRORS: " in seen["registry"]
    assert "CHROMADB_PORT: Input should be a valid integer" in seen["ChromaDB"]
    assert "hunter2" not in done.out + done.err
    done = await Cli(tmp_path)("templates", "list", env=env)
    assert (done.code, "CHROMADB_PORT: Input" in done.err, "hunter2" in done.err) == (2, True, False)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"LLM_PROVIDER": "openai", "OPENAI_MODEL": "m", "OPENAI_URL": "http://127.0.0.1:9/v1"}, ":9/v1/models"),
        ({"LLM_PROVIDER": "claude-code", "CLAUDE_CODE_ENGINE": "no-engine"}, "no-engine is not installed"),
        ({"LLM_PROVIDER": "gpt"}, "there is none of that name"),
    ],
)
async def test_doctor_knows_every_provider(tmp_path: Path, env: dict[str, str], words: str) -> None:
    """The one that is chosen is checked, and what is wrong with it said."""
    findings = json.loads((await Cli(tmp_path)("doctor", "--json", env=env)).out)
    [model] = [finding for finding in findings if finding["name"] == "model"]
    assert not model["ok"]
    assert words in model["seen"] + model["advice"]


async def test_up_with_processes_takes_a_run_to_green_and_ends_on_sigterm(tmp_path: Path) -> None:
    """Each service as its own process; nothing is left behind."""
    cli = Cli(tmp_path / "home")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from greenrun.cli import main; main()", "up", "--processes", "--free-ports"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "GREENRUN_HOME": str(cli.home), "COLUMNS": "200", "MONITOR_INTERVAL": "0.1"},
    )
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        while b"greenrun is up" not in (line := await process.stdout.readline()):
            assert line, "up ended before it was up"
    values = local.running(cli.home)
    url = await _project_over_rest(values)
    done = await cli("submit", url, "--watch")
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), DEADLINE)
    assert done.code == 0, done.out + done.err
    assert process.returncode == 0
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await embedded.reachable(values["nats_url"])
    assert local.running(cli.home) == {}


async def _project_over_rest(values: Mapping[str, str]) -> str:
    """A project made through the API, as a person would with their own client."""
    import gitlab  # noqa: PLC0415

    def create() -> str:
        client = gitlab.Gitlab(values["gitlab_url"], private_token=values["gitlab_token"], timeout=10)
        project = client.projects.create({"name": "notes"})
        folder = SAMPLES / "flask-notes"
        paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        actions = [
            {"action": "create", "file_path": str(path.relative_to(folder)), "content": path.read_text()}
            for path in paths
        ]
        project.commits.create({"branch": "main", "commit_message": "first", "actions": actions})
        client.session.close()
        return str(project.http_url_to_repo)

    return await asyncio.to_thread(create)


async def test_the_sandbox_gitlab_runs_alone(tmp_path: Path) -> None:
    """`greenrun sandbox gitlab` serves the API until it is told to end."""
    port = embedded.free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from greenrun.cli import main; main()", "sandbox", "gitlab"),
        *("--port", str(port), "--data", str(tmp_path / "data"), "--token", "glpat-alone"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DEADLINE)
    assert f"127.0.0.1:{port}".encode() in line
    values = {"gitlab_url": f"http://127.0.0.1:{port}", "gitlab_token": "glpat-alone"}
    assert (await _project_over_rest(values)).endswith("/root/notes.git")
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 0


async def test_a_part_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """The parent is killed (-9): the server ends by itself."""
    port = embedded.free_port()
    script = (
        "import asyncio, pathlib, sys\n"
        "from greenrun import embedded\n"
        "async def main():\n"
        "    async with embedded.nats_server(pathlib.Path(sys.argv[1]), port=int(sys.argv[2])):\n"
        "        print('up', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(tmp_path / "nats"), str(port)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), DEADLINE)
    process.kill()
    await process.wait()
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await embedded.reachable(f"nats://127.0.0.1:{port}")
            except OSError:
                return
            await asyncio.sleep(0.05)
