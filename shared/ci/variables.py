"""GitLab's variables as far as the file alone tells them.

Rules: GitLab's page "Use CI/CD variables"; `$$` is a dollar sign, a job's variable hides the global one.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEPTH_LIMIT = 10
MATRIX_LIMIT = 200  # GitLab's own limit of jobs in one matrix

_VARIABLE = re.compile(r"\$\$|\$(?:([a-zA-Z_]\w*)|\{([a-zA-Z_]\w*)\})", re.ASCII)


def expand(text: str, variables: Mapping[str, str], depth: int = DEPTH_LIMIT) -> tuple[str, str]:
    """The text with its variables replaced, and the reason (or nothing) why that did not succeed whole."""
    problems: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name is None:
            return "$"
        if name not in variables or not depth:
            problems.append(_reason(name, variables))
            return match[0]
        inner, problem = expand(variables[name], variables, depth - 1)
        problems.extend([problem] if problem else [])
        return inner

    expanded = _VARIABLE.sub(value, text)
    return expanded, "; ".join(dict.fromkeys(problems))


def declared(section: Any) -> dict[str, str]:
    """Name → value of a `variables` section; of the long form (`value`, `description`) the value."""
    if not isinstance(section, dict):
        return {}
    values = {name: v.get("value") if isinstance(v, dict) else v for name, v in section.items()}
    return {name: as_text(value) for name, value in values.items() if isinstance(value, str | int | float)}


def as_text(value: Any) -> str:
    """A scalar as GitLab passes it to a job: an unquoted 3.10 is a number and arrives as 3.1."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def of_job(job: Mapping[str, Any], global_variables: Mapping[str, str]) -> list[dict[str, str]]:
    """The variables of a job: one set, or one for each cell of `parallel: matrix`."""
    inherited = _inherited(job, global_variables)
    own = declared(job.get("variables"))
    return [{**inherited, **own, **cell} for cell in itertools.islice(_cells(job.get("parallel")), MATRIX_LIMIT)]


def _cells(parallel: Any) -> Iterator[dict[str, str]]:
    rows = parallel.get("matrix") if isinstance(parallel, dict) else None
    if not isinstance(rows, list) or not rows:
        yield {}
        return
    for row in (r for r in rows if isinstance(r, dict)):
        choices = [v if isinstance(v, list) else [v] for v in row.values()]
        for values in itertools.product(*choices):
            yield {name: as_text(v) for name, v in zip(row, values, strict=True)}


def _inherited(job: Mapping[str, Any], global_variables: Mapping[str, str]) -> dict[str, str]:
    """The global variables that `inherit: variables` lets through."""
    inherit = job.get("inherit")
    rule = inherit.get("variables") if isinstance(inherit, dict) else None
    if isinstance(rule, list):
        return {name: value for name, value in global_variables.items() if name in rule}
    return {} if rule is False else dict(global_variables)


def _reason(name: str, variables: Mapping[str, str]) -> str:
    if name in variables:
        return f"variable ${name} refers to itself"
    return f"variable ${name} is not known before the pipeline runs"
