"""hadolint and shellcheck, where they are installed: what they say about a Dockerfile and about scripts, as warnings.

Their levels are opinions about style as well as mistakes, so nothing of theirs forbids a commit.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared.ci.finding import DOCKERFILE, PIPELINE, Finding

TIMEOUT = 30.0
# A name that is used but not set, a file that is sourced: GitLab sets and brings more than shellcheck sees.
SHELLCHECK_LEAVES_OUT = "SC1090,SC1091,SC2034,SC2154"


def program(name: str) -> str | None:
    """The path of a program beside this interpreter, or on the PATH; None where it is not installed."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def hadolint(dockerfile: str) -> list[Finding]:
    """What hadolint warns of; nothing where it is not installed, or fails."""
    path = program("hadolint")
    command = [path or "", "--no-fail", "--format", "json", "--failure-threshold", "warning", "-"]
    rows = _answer(command, dockerfile) if path else []
    return [
        Finding(f"hadolint-{row['code']}", "warning", DOCKERFILE, row["line"], row["column"], _line(row["message"]))
        for row in rows
        if row["level"] in ("error", "warning")
    ]


def shellcheck(script: str, shell: str = "bash") -> list[Finding]:
    """What shellcheck warns of in one script, lines and columns within it; nothing where it is not installed."""
    path = program("shellcheck")
    options = ["--shell", shell, "--format", "json", "--severity", "warning", "--exclude", SHELLCHECK_LEAVES_OUT]
    rows = _answer([path or "", *options, "-"], script) if path else []
    return [
        Finding(f"shellcheck-SC{row['code']}", "warning", PIPELINE, row["line"], row["column"], row["message"])
        for row in rows
    ]


def _line(message: str) -> str:
    """A message as one line: that of hadolint's parser has several."""
    return " ".join(message.split())


def _answer(command: list[str], text: str) -> list[dict[str, Any]]:
    """The rows of a program's JSON; empty where it gives none in time."""
    try:
        done = subprocess.run(  # noqa: S603 - the program was found above, the text goes to its standard input
            command, input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
        rows = json.loads(done.stdout or "[]")
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return []
    return rows if isinstance(rows, list) else []
