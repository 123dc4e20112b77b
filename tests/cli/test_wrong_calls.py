"""A call that cannot be: one sentence on standard error and exit code 2, never a traceback."""

from __future__ import annotations

import fcntl
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from greenrun.cli import app


def called(home: Path, *arguments: str, **environment: str) -> Result:
    """How the command ended where nothing runs."""
    return CliRunner(env={"GREENRUN_HOME": str(home), "COLUMNS": "80", **environment}).invoke(app, list(arguments))


def sentence(done: Result, code: int = 2) -> str:
    """The one line on standard error."""
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    assert isinstance(done.exception, SystemExit)
    (line,) = done.stderr.splitlines()
    return line.removeprefix("greenrun: ")


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [
        ("CLONE_MAX_BYTES", "analyze ."),
        ("CLONE_MAX_BYTES", "generate ."),
        ("LLM_TIMEOUT", "generate ."),
        ("CONCURRENCY", "runs"),
        ("CHROMADB_PORT", "templates list"),
        ("CHROMADB_PORT", "templates reindex"),
        ("SEED_CONCURRENCY", "images list"),
        ("GITLAB_TIMEOUT", "sandbox faults list"),
        ("GITLAB_TIMEOUT", "webhook install shop/web"),
    ],
)
def test_a_setting_that_is_wrong_is_named(tmp_path: Path, variable: str, arguments: str) -> None:
    """Every command says which variable is wrong, in one line, and not its value."""
    said = sentence(called(tmp_path, *arguments.split(), **{variable: "hunter2"}))
    assert said.startswith(f"wrong settings: {variable}: ")
    assert "hunter2" not in said


def test_doctor_says_which_setting_is_wrong_beside_all_else(tmp_path: Path) -> None:
    """A wrong setting is a finding like any other; the rest is still examined."""
    done = called(tmp_path, "doctor", "--json", CHROMADB_PORT="x", NATS_URL="nats://127.0.0.1:1")
    assert done.exit_code == 3
    assert "wrong settings: CHROMADB_PORT: " in done.stdout
    assert '"skopeo"' in done.stdout


def test_the_gateways_port_is_a_number(tmp_path: Path) -> None:
    """`greenrun up` refuses a port that is none."""
    taken = {"NATS_URL": "nats://127.0.0.1:1", "CHROMADB_HOST": "x", "NEXUS_REGISTRY": "x", "GITLAB_URL": "http://x"}
    assert sentence(called(tmp_path, "up", **taken, GATEWAY_PORT="http")).startswith("GATEWAY_PORT is 'http'; ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("submit shop", "shop is not the address of a repository"),
        ("submit https://git/x.git --author me", "author is a name with an address"),
        ("submit https://git/x.git --branch a..b", "'a..b' is no name of a branch"),
        ("generate . --registry http://nexus:5001", "NEXUS_REGISTRY: this is no registry; write HOST:PORT"),
        ("generate . --out FILE", "cannot be written: File exists"),
        ("templates add none.yml Dockerfile --like .", "none.yml cannot be read: No such file or directory"),
        ("templates import none.jsonl", "none.jsonl cannot be read: No such file or directory"),
        ("images list --list none.txt", "none.txt cannot be read: No such file or directory"),
        ("images list --folder .", " has neither .gitlab-ci.yml nor Dockerfile"),
        ("images import none.tar", "there is no file none.tar"),
        ("images build", "images has no folder with a Dockerfile; choose another folder"),
    ],
)
def test_a_call_that_cannot_be_ends_with_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, said: str
) -> None:
    """What is named and is not there, and what has the wrong form, is the caller's mistake: no run has failed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("print('taken')\n")
    (tmp_path / "app.py").write_text("print('hello')\n")
    assert said in sentence(called(tmp_path / "home", *arguments.split()))


def test_a_provider_that_is_none_is_refused(tmp_path: Path) -> None:
    """The names that there are stand in the message."""
    done = called(tmp_path, "generate", ".", "--provider", "oracle")
    assert done.exit_code == 2
    assert "claude-code" in done.stderr


def test_the_help_says_what_stands_in_the_commit(tmp_path: Path) -> None:
    """Square brackets are no markup there."""
    assert "[skip ci]" in called(tmp_path, "submit", "--help", COLUMNS="200").stdout


def test_two_systems_never_share_a_folder(tmp_path: Path) -> None:
    """The second is refused before it starts anything over the log of the first."""
    with (tmp_path / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = called(tmp_path, "up", "--free-ports")
    assert "is already up with its data in" in sentence(done)
    assert not done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"up.lock"}


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """The data of the system, and of the sandbox's GitLab alone."""
    taken = tmp_path / "file"
    taken.touch()
    assert "File exists; choose another folder" in sentence(called(tmp_path, "up", "--home", str(taken)))
    alone = called(tmp_path, "sandbox", "gitlab", "--data", str(taken), "--token", "x", "--port", "0")
    assert sentence(alone).endswith("File exists")


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """The sandbox's GitLab alone says which one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = called(tmp_path, "sandbox", "gitlab", "--data", str(tmp_path / "d"), "--token", "x", "--port", port)
    assert f"on port {port} " in sentence(done)
