"""Whether the service in this container is well: `python -m shared.health` exits 0 if so, and says why where not.

It reads what the service says of itself in HEALTH_FILE (`shared.pulse`). With `--live` it asks only whether the service
is still running: an outage of NATS is no reason to restart it. Imports little, because it is run every few seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time


def problems(path: str, *, live: bool = False) -> list[str]:
    """What is wrong with the service that writes this file, each as a sentence; empty where it is well."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib would take as long to load as all the rest
            said = json.load(file)
            age = time.time() - os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return [f"nothing is said in {path}: the service has not started, or has ended"]
    except (OSError, ValueError) as error:
        return [f"{path} cannot be read: {error}"]
    if age > said["grace"]:
        why = "its event loop hangs, or its process is gone"
        return [f"{said['service']} has said nothing for {age:.0f} s, more than {said['grace']:g} s: {why}"]
    return [] if live else [str(problem) for problem in said["problems"]]


def main() -> int:
    """The exit code: 0 well, 1 not, 2 nobody said where to look."""
    path = os.environ.get("HEALTH_FILE")
    if not path:
        sys.stderr.write("HEALTH_FILE is not set; it names the file in which the service says how it is\n")
        return 2
    found = problems(path, live="--live" in sys.argv[1:])
    # Standard output is what `docker inspect` and Kubernetes' events show of a failed check.
    sys.stdout.write("".join(f"{problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
