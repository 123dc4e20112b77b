"""A call that cannot be: one sentence on standard error and exit code 2, never a traceback."""

from __future__ import annotations

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
