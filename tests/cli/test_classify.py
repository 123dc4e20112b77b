"""`greenrun classify`, as a shell sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenrun.cli import app
from tests.healer.words import framed

# What one process may take for a log of any size: the interpreter and its libraries, and the windows.
MEMORY = 400 << 20
# Starts the command with a limit on memory, and says at the end how much it took at most.
LIMITED = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
sys.argv = ["greenrun", "classify", "--json", *sys.argv[1:]]
from greenrun.cli import main
main()
"""


def classify(*arguments: str, stdin: str | bytes | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    done = CliRunner().invoke(app, ["classify", *arguments], input=stdin)
    return done.exit_code, done.stdout, done.stderr


def rows(*arguments: str, stdin: str | bytes | None = None) -> list[dict[str, Any]]:
    """The lines of --json."""
    code, out, _ = classify("--json", *arguments, stdin=stdin)
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of a failed compilation."""
    path = tmp_path / "compile.log"
    path.write_text(framed("src/app.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'."))
    return path


def test_one_line_of_json_for_each_file(log: Path, tmp_path: Path) -> None:
    """In the order given, each with its class, the line that says it, where it stands, and how sure that is."""
    other = tmp_path / "other.log"
    other.write_text("nobody knows\n")
    first, second = rows(str(log), str(other))
    assert first == {
        "file": str(log),
        "class": "build_failure",
        "evidence": "src/app.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'.",
        "line": 4,
        "confidence": 0.93,
        "tool": "typescript",
        "section": "step_script",
        "exit_code": 1,
        "runners_up": [],
    }
    assert (second["class"], second["evidence"], second["confidence"]) == ("unknown", "nobody knows", 0.0)


def test_standard_input_is_a_log(log: Path) -> None:
    """A dash reads it."""
    (found,) = rows("-", stdin=log.read_bytes())
    assert (found["file"], found["class"], found["line"]) == ("-", "build_failure", 4)


def test_a_person_reads_place_class_and_evidence(log: Path) -> None:
    """Without --json: where, what, how sure, who says so, and the line."""
    code, out, _ = classify(str(log))
    assert code == 0
    assert out.splitlines() == [
        f"{log}:4: build_failure (93%, says typescript)",
        "    src/app.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'.",
    ]


def test_what_gitlab_says_counts(log: Path) -> None:
    """failure_reason comes before any text; the exit code where no line says more."""
    assert rows("--failure-reason", "job_execution_timeout", str(log))[0]["class"] == "timeout_error"
    (killed,) = rows("--exit-code", "137", "-", stdin="working\n")
    assert (killed["class"], killed["exit_code"]) == ("out_of_memory", 137)
    assert rows("--exit-code", "137", str(log))[0]["runners_up"] == [{"class": "out_of_memory", "confidence": 0.6}]


@pytest.mark.parametrize("name", ["nowhere.log", ".", "/dev/zero", "\0"])
def test_what_is_no_log_is_refused_in_one_sentence(name: str, log: Path) -> None:
    """Exit code 2 and one sentence; the other files are classified all the same."""
    code, out, error = classify("--json", name, str(log))
    assert code == 2
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(log)]
    assert error.startswith("greenrun: ")
    assert "cannot be read" in error
    assert "Traceback" not in error


def test_nothing_to_classify_is_a_wrong_call() -> None:
    """Without a file the usage is shown."""
    assert classify()[0] == 2


@pytest.mark.parametrize(
    "filler", [b"x", b"\0", b"compiling\n", b"\x1b[31m"], ids=["a line", "binary", "lines", "ANSI"]
)
def test_half_a_gigabyte_stays_in_bounded_memory(filler: bytes, tmp_path: Path) -> None:
    """The end of a log of 500 MB is found, with the number of its line, by a process that may take 400 MB at most."""
    path = tmp_path / "huge.log"
    block = filler * (1_000_000 // len(filler))
    with path.open("wb") as log:
        for _ in range(500):
            log.write(block)
        log.write(b"\nnpm error code ERESOLVE\nERROR: Job failed: exit code 1\n")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["class"], found["evidence"]) == ("dependency_resolution", "npm error code ERESOLVE")
    assert found["line"] == block.count(b"\n") * 500 + 2


def test_an_endless_line_on_standard_input_stays_in_bounded_memory() -> None:
    """What comes through a pipe is bounded in the same way."""
    feed = "head -c 500000000 /dev/zero | tr '\\0' a"
    command = f'{feed} | "$0" -c "$1" -'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, LIMITED],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["class"] == "unknown"


def test_a_token_in_the_evidence_is_masked(tmp_path: Path) -> None:
    """The line that says it is shown without the secret in it, wherever the log is cut."""
    token = "glpat-" + "a1B2" * 5
    path = tmp_path / "leak.log"
    for filling in ("", "x " * 380, "y" * 9_970 + " "):
        path.write_text(f"{filling}fatal: Authentication failed for 'https://oauth2:{token}@git.example.org/a'\n")
        code, out, _ = classify("--json", str(path))
        assert code == 0
        assert token[:12] not in out
