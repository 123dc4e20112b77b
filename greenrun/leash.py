"""Run a command that cannot outlive its parent: it is ended when standard input closes.

`python -m greenrun.leash COMMAND…`: the parent holds the other end of the pipe, so the kernel closes it however
the parent dies, kill -9 included. Works on every Unix, unlike a parent-death signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 5.0


def main() -> int:
    """The command's exit code."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our own
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end(process))
    threading.Thread(target=_until_parent_is_gone, args=(process,), daemon=True).start()
    return process.wait()


def _until_parent_is_gone(process: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole process group to end, and insist after the grace."""
    _signal(process, signal.SIGTERM)
    timer = threading.Timer(GRACE_SECONDS, _signal, (process, signal.SIGKILL))
    timer.daemon = True
    timer.start()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)


if __name__ == "__main__":
    sys.exit(main())
