"""build_failure: what a pipeline can do about it: the toolchain's version, what is missing to build, paths, memory.

Each part says what it may change: `toolchain_version`, `system_library`, `build_context`, `out_of_memory`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.healer.strategies import build_context, system_library, toolchain_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.healer.failure import Failure
    from services.healer.strategies.fix import Fix


def images(failure: Failure) -> list[str]:
    """The images whose tags must be known for these repairs."""
    return [*toolchain_version.images(failure), *system_library.images(failure)]


def repairs(failure: Failure) -> Iterator[Fix]:
    """The repairs that the log speaks of, the most certain first."""
    for part in (toolchain_version, system_library, build_context):
        fix = part.repair(failure)
        if fix:
            yield fix
