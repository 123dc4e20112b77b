"""tls_network_error and rate_limit: what still fails after the free rerun is asked for again, and more patiently.

It may set one variable for the whole file, or add to it where it is set, that makes the tool which failed try more
often or wait longer. It never switches the check of a certificate off: whom to trust is for a person to say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.edit.dockerfile import failed_run, with_lines
from services.healer.edit.pipeline import with_variable
from services.healer.strategies.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.healer.failure import Failure

# Certificates do not get better by asking again.
_TRUST = re.compile(r"x509|certificate|SSL|issuer|PKIX|self[-_ ]signed|HTTP response to HTTPS", re.IGNORECASE)
# By the tool that the failed command runs: its variable for how often, or how long in seconds. Maven 3.9 asks through
# its resolver.
PATIENCE: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(tool), name, value)
    for tool, name, value in (
        (r"\bpip3?\b|\bpipenv\b", "PIP_RETRIES", "10"),
        (r"\buvx?\b", "UV_HTTP_TIMEOUT", "300"),
        (r"\b(?:npm|pnpm|npx)\b", "npm_config_fetch_retries", "10"),
        (r"\bbundle\b", "BUNDLE_RETRY", "10"),
        (r"\bcargo\b", "CARGO_NET_RETRY", "10"),
        (r"\bmvnw?\b", "MAVEN_OPTS", "-Daether.connector.http.retryHandler.count=10"),
        (r"\bgradlew?\b", "GRADLE_OPTS", "-Dorg.gradle.internal.repository.max.retries=10"),
        (r"\bcomposer\b", "COMPOSER_PROCESS_TIMEOUT", "1200"),
        (r"\bmix\b", "HEX_HTTP_TIMEOUT", "300"),
        (r"\bconda\b", "CONDA_REMOTE_MAX_RETRIES", "10"),
    )
)


def repairs(failure: Failure) -> Iterator[Fix]:
    """More patience for the tool that failed; nothing where it did not trust the other side."""
    if any(_TRUST.search(line) for line in failure.near):
        return
    ran = failed_run(failure.files.dockerfile, failure.lines) if failure.builds_image else None
    command = ran[1].rest if ran else failure.command
    _, name, value = next((row for row in PATIENCE if command and row[0].search(command)), (None, "", ""))
    if not name or not failure.known:
        return
    if ran:
        known = any(one.word == "ENV" and name in one.rest for one in ran[0].instructions)
        text = None if known else with_lines(failure.files.dockerfile, ran[1].line, [f"ENV {name}={value}"])
        changed = failure.files.model_copy(update={"dockerfile": text or failure.files.dockerfile})
    else:
        now = failure.document.variables.get(name, "")
        wanted = f"{now} {value}".strip() if value.startswith("-") and value not in now else value
        text = with_variable(failure.document, failure.name, name, wanted, everywhere=True)
        changed = failure.files.model_copy(update={"pipeline": text or failure.files.pipeline})
    if changed != failure.files:
        yield Fix("ask more often", f"{name} is {value}, for {failure.evidence.strip()[:120]!r}", changed)
