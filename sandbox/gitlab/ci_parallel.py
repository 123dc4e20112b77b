"""`parallel:` as several jobs: `test 1/3`, or one for each combination of a matrix (`test: [3.11, debian]`)."""

from __future__ import annotations

from itertools import product
from typing import Any

from sandbox.gitlab.ci_validate import MAX_PARALLEL
from sandbox.gitlab.ci_yaml import CiError


def copies(name: str, job: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Name → further variables of each job that this one becomes; itself where it is not parallel."""
    parallel = job.get("parallel")
    if isinstance(parallel, dict):
        return _matrix(name, parallel["matrix"])
    if isinstance(parallel, int):
        total = {"CI_NODE_TOTAL": str(parallel)}
        return {f"{name} {i}/{parallel}": {"CI_NODE_INDEX": str(i), **total} for i in range(1, parallel + 1)}
    return {name: {}}


def _matrix(name: str, matrix: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    combinations: list[dict[str, str]] = []
    for entry in matrix:
        lists = [[str(one) for one in (value if isinstance(value, list) else [value])] for value in entry.values()]
        size = 1
        for values in lists:
            size *= len(values)
        if len(combinations) + size > MAX_PARALLEL:
            raise CiError(f"jobs:{name}:parallel:matrix config generates too many jobs (maximum is {MAX_PARALLEL})")
        combinations += [dict(zip(entry, values, strict=True)) for values in product(*lists)]
    total = str(len(combinations))
    return {
        f"{name}: [{', '.join(values.values())}]": {**values, "CI_NODE_INDEX": str(i), "CI_NODE_TOTAL": total}
        for i, values in enumerate(combinations, 1)
    }


def named(need: dict[str, Any], made: dict[str, dict[str, str]]) -> list[str]:
    """The jobs of a parallel one that a need means: all, or those of its own matrix."""
    parallel = need.get("parallel")
    wanted = parallel.get("matrix") if isinstance(parallel, dict) else None
    if not isinstance(wanted, list):
        return list(made)
    chosen: list[dict[str, str]] = list(_matrix("", [entry for entry in wanted if isinstance(entry, dict)]).values())
    chosen = [{key: value for key, value in one.items() if not key.startswith("CI_NODE_")} for one in chosen]
    return [name for name, values in made.items() if any(one.items() <= values.items() for one in chosen)]
