"""Where the running system is: what `greenrun up` on this machine wrote down, else the environment."""

from __future__ import annotations

import os
from typing import Any


def values() -> dict[str, Any]:
    """The settings of the system that `greenrun up` runs here; a variable of the environment comes before them."""
    from greenrun import local  # noqa: PLC0415 - the embedded parts are an extra

    found = local.running(local.default_home())
    return {name: value for name, value in found.items() if not os.environ.get(name.upper())}
