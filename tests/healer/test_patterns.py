"""No line that a job can print keeps a pattern busy: each gets a bounded amount of processor time, or the test ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Seconds of processor time for one pattern and all its lines: thousands of times what they need.
LIMIT = 5


def run(patterns: list[str], limit: int = LIMIT) -> str:
    """The last pattern begun by a process that must decide them all within the limit each; empty where it did."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.healer.pattern_search", str(limit)],
        input=json.dumps(patterns),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    begun = done.stdout.splitlines()
    return "" if done.returncode == 0 else (begun[-1] if begun else done.stderr)


def table() -> list[str]:
    """All patterns that read what a job printed."""
    from services.healer import classify, failure, tools  # noqa: PLC0415 - what it needs takes time to load
    from services.healer.edit import dockerfile  # noqa: PLC0415
    from services.healer.knowledge import libraries, locks, programs, rights, toolchains, versions  # noqa: PLC0415
    from services.healer.strategies import (  # noqa: PLC0415
        artifact_missing,
        build_context,
        out_of_memory,
        permission_error,
        service_connection,
        system_library,
        timeout_error,
        tls_network_error,
    )
    from services.healer.table import TABLE  # noqa: PLC0415
    from shared.ci import region, secrets  # noqa: PLC0415

    found = [word for row in TABLE for word in row.words] + [mark.pattern for _, mark in tools._MARKS]
    found += [library.pattern.pattern for library in libraries.libraries()]
    for chain in toolchains.toolchains():
        found += [pattern.pattern for pattern in (*chain.says, *(sign for sign, _ in chain.signs))]
    found += [pattern.pattern for pattern in (*programs._SAID, *dockerfile._RAN)]
    found += [*locks.patterns(), *rights.patterns()]
    found += [limit.says.pattern for limit in out_of_memory.LIMITS]
    modules = [classify, tools, region, secrets, failure, versions, build_context, permission_error, system_library]
    modules += [artifact_missing, service_connection, timeout_error, tls_network_error]
    compiled = [value for module in modules for value in vars(module).values()]
    return found + [
        value.pattern for value in compiled if isinstance(value, re.Pattern) and isinstance(value.pattern, str)
    ]


def test_no_pattern_is_catastrophic() -> None:
    """Long lines that repeat the pattern's own parts, and odds and ends, are decided within the limit."""
    assert run(table()) == ""


@pytest.mark.parametrize("pattern", [r"(?:a+)+$", r"(?:\w+\s?)+:$"])
def test_a_catastrophic_pattern_is_found(pattern: str) -> None:
    """The search knows the textbook ones."""
    assert run([pattern], limit=1) == pattern
