"""The shell script that a runner makes of a job's commands; pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sandbox.gitlab.executor_trace import command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The runner's own choice of a shell in an image: bash where there is one, else sh.
DETECT = (
    "for shell in /usr/local/bin/bash /usr/bin/bash /bin/bash /usr/local/bin/sh /usr/bin/sh /bin/sh /busybox/sh; do "
    'if [ -x "$shell" ]; then exec "$shell"; fi; done; echo shell not found; exit 1'
)


def script(lines: Sequence[str], variables: Mapping[str, str], directory: str) -> str:
    """All lines in one shell that ends at the first failure, each echoed before it runs.

    Commands read nothing from standard input: the script itself may stand there.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if name.isidentifier()]
    body = [part for line in lines for part in (f"printf '%s' {shlex.quote(command(line))}", line)]
    steps = [
        "set -e",
        "if set -o | grep pipefail >/dev/null 2>&1; then set -o pipefail; fi",
        *exports,
        f"cd {shlex.quote(directory)}",
        *body,
    ]
    joined = "\n".join(steps)
    # One word for eval, so that the whole script is read before its first command runs.
    return f"eval {shlex.quote(joined)} < /dev/null\n"
