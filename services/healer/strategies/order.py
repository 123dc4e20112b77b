"""Which strategies a class has, in the order in which they are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from services.healer.strategies import (
    artifact_missing,
    build_failure,
    dependency_resolution,
    invalid_stage,
    missing_command,
    out_of_memory,
    permission_error,
    service_connection,
    timeout_error,
    tls_network_error,
    yaml_syntax,
)
from services.healer.table import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from services.healer.failure import Failure
    from services.healer.strategies.fix import Fix


def _none(_failure: Failure) -> Sequence[str]:
    return ()


class Strategy(NamedTuple):
    """What proposes repairs, the best first, and the private images whose tags it must know for that."""

    repairs: Callable[[Failure], Iterable[Fix | None]]
    images: Callable[[Failure], Sequence[str]] = _none


_YAML = Strategy(lambda failure: [yaml_syntax.repair(failure.files)])
_STAGES = Strategy(lambda failure: [invalid_stage.repair(failure.files)])
_BUILD = Strategy(build_failure.repairs, build_failure.images)
_COMMAND = Strategy(missing_command.repairs, missing_command.images)
_PERMISSION = Strategy(permission_error.repairs)
_DEPENDENCIES = Strategy(dependency_resolution.repairs, dependency_resolution.images)
_MEMORY = Strategy(out_of_memory.repairs)
_TIME = Strategy(timeout_error.repairs)
_SERVICE = Strategy(service_connection.repairs)
_NETWORK = Strategy(tls_network_error.repairs)
_ARTIFACT = Strategy(artifact_missing.repairs)

# Where the class's own strategy has nothing to say, its evidence may be the consequence of another class's cause.
STRATEGIES: dict[str, tuple[Strategy, ...]] = {
    "yaml_syntax": (_YAML, _STAGES),
    "invalid_stage": (_STAGES, _YAML),
    "build_failure": (_BUILD, _COMMAND, _PERMISSION),
    "dependency_resolution": (_DEPENDENCIES, _BUILD),
    "missing_command": (_COMMAND, _BUILD, _ARTIFACT),
    "permission_error": (_PERMISSION,),
    "artifact_missing": (_ARTIFACT,),
    "service_connection": (_SERVICE,),
    "timeout_error": (_TIME,),
    "tls_network_error": (_NETWORK,),
    "rate_limit": (_NETWORK,),
    "out_of_memory": (_MEMORY,),
    UNKNOWN: (_BUILD, _COMMAND),
}


def images_for(failure: Failure) -> tuple[str, ...]:
    """The private images whose tags the strategies of the class must know, each once."""
    rows = STRATEGIES.get(failure.error_class, ())
    return tuple(dict.fromkeys(image for strategy in rows for image in strategy.images(failure)))


def repairs_of(failure: Failure) -> list[Fix]:
    """Every repair that the strategies of the class propose, in their order."""
    rows = STRATEGIES.get(failure.error_class, ())
    return [fix for strategy in rows for fix in strategy.repairs(failure) if fix]
