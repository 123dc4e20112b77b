"""The real programs that the tests of the providers need."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLAUDE = ROOT / ".tools" / "claude" / "node_modules" / ".bin" / "claude"
ENGINE = ROOT / ".tools" / "model"


def missing(what: str) -> None:
    """Skip with the reason; where the change is judged nothing may be missing."""
    reason = f"{what} is not installed; scripts/test-tools.sh does that, and make test runs it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def claude() -> str:
    """The path of the real Claude Code CLI."""
    if not CLAUDE.exists():
        missing("the Claude Code CLI")
    return str(CLAUDE)


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The base URL of a real model behind OpenAI's protocol."""
    if not (ENGINE / "xllamacpp").exists():
        missing("the small language model")
    command = [sys.executable, str(Path(__file__).with_name("engine.py")), str(ENGINE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"{process.stdout.readline().strip()}/v1"
        process.stdin.close()
        process.wait(timeout=20)
