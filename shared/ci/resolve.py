"""What a job is after `extends`, `!reference` and `default`, in the order in which GitLab applies them.

Rules: GitLab's CI/CD YAML reference; `extends` merges mappings and replaces everything else, eleven levels deep.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.ci.located import Pointer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shared.ci.finding import Severity

REFERENCE_DEPTH = 10
EXTENDS_DEPTH = 11
# References can refer to references, and many jobs extend one: what they stand for together stays bounded.
EXPANSION_LIMIT = 200_000

NOT_JOBS = frozenset({"after_script", "before_script", "cache", "default", "image", "include"}) | frozenset(
    {"services", "spec", "stages", "types", "variables", "workflow"}
)
DEFAULTABLE = frozenset(
    {"after_script", "artifacts", "before_script", "cache", "hooks", "id_tokens", "image"}
) | frozenset({"interruptible", "retry", "services", "tags", "timeout"})


@dataclass(frozen=True)
class Problem:
    """Something wrong at a path; `position` is line and column from 1 where the path alone does not tell."""

    rule: str
    message: str
    path: tuple[str | int, ...]
    position: tuple[int, int] | None = None
    severity: Severity = "error"


@dataclass(frozen=True)
class Resolution:
    """The jobs by name, the whole file as written with its references replaced, and what pointed to nothing.

    `extended` has the jobs without what they take from `default`. `unknown` holds the top-level keys in which a
    reference leads out of this file, `broken` the jobs that extend what does not exist.
    """

    jobs: dict[str, dict[str, Any]]
    extended: dict[str, dict[str, Any]]
    root: dict[str, Any]
    problems: tuple[Problem, ...]
    unknown: frozenset[str]
    broken: frozenset[str]


def resolve(root: Mapping[str, Any], names: Sequence[str], *, outside: bool = False) -> Resolution:
    """The named jobs as GitLab would run them; with `outside`, what is missing here may stand in another file."""
    extends = _Extends(root)
    extended = {key: extends.of(key) if isinstance(value, dict) else value for key, value in root.items()}
    references = _References(extended, outside=outside)
    whole = {key: references.follow(value, (key,)) for key, value in root.items()}
    own = {name: references.follow(extended[name], (name,)) for name in names}
    jobs = {name: {**_defaults(job, whole), **job} for name, job in own.items()}
    missing = [p for p in extends.problems if not (outside and p.rule == "unknown-extends")]
    problems = dict.fromkeys([*references.problems.values(), *missing])
    return Resolution(jobs, own, whole, tuple(problems), frozenset(references.unknown), frozenset(extends.broken))


class _References:
    """Replaces each `!reference [job, key, …]` by what it points to."""

    def __init__(self, root: Mapping[str, Any], *, outside: bool) -> None:
        self._root = root
        self._outside = outside
        self._seen = 0
        self.problems: dict[tuple[int, str], Problem] = {}
        self.unknown: set[str] = set()

    def follow(self, value: Any, path: tuple[str | int, ...], depth: int = 0) -> Any:
        """The value without pointers; None stands where one leads nowhere."""
        self._seen += 1
        if self._seen > EXPANSION_LIMIT:
            message = f"what is extended and referred to stands for more than {EXPANSION_LIMIT} values"
            self.problems.setdefault((0, message), Problem("yaml-size", message, path[:1]))
            return {} if isinstance(value, dict) else None
        if isinstance(value, Pointer):
            return self._pointed(value, path, depth)
        if isinstance(value, dict):
            return {key: self.follow(item, (*path, key), depth) for key, item in value.items()}
        if isinstance(value, list):
            return list(self._items(value, path, depth))
        return value

    def _items(self, items: list[Any], path: tuple[str | int, ...], depth: int) -> Iterator[Any]:
        """A list's items; a list that a pointer brings into a list is laid flat, as GitLab does with scripts."""
        for number, item in enumerate(items):
            found = self.follow(item, (*path, number), depth)
            if isinstance(item, Pointer) and isinstance(found, list):
                yield from found
            else:
                yield found

    def _pointed(self, pointer: Pointer, path: tuple[str | int, ...], depth: int) -> Any:
        target: Any = self._root
        for key in pointer.path:
            if not isinstance(target, dict) or key not in target:
                self._report("points to nothing in this file", pointer, path)
                return None
            target = target[key]
        if depth >= REFERENCE_DEPTH:
            self._report(f"goes in a circle or more than {REFERENCE_DEPTH} levels deep", pointer, path)
            return None
        return self.follow(target, path, depth + 1)

    def _report(self, what: str, pointer: Pointer, path: tuple[str | int, ...]) -> None:
        self.unknown.add(str(path[0]))
        if not self._outside:
            message = f"!reference [{', '.join(pointer.path)}] {what}"
            # Whoever extends the job has the same pointer: it is wrong once.
            self.problems.setdefault(
                (pointer.line, message), Problem("unknown-reference", message, path, (pointer.line, 1))
            )


class _Extends:
    """Merges each job with all that it extends; every job once, however many extend it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._done: dict[str, dict[str, Any]] = {}
        self.problems: list[Problem] = []
        self.broken: set[str] = set()

    def of(self, name: str, chain: tuple[str, ...] = ()) -> dict[str, Any]:
        """The job with what it extends; the last parent wins, the job itself over all."""
        if name not in self._done:
            self._done[name] = self._merged(name, (*chain, name))
        return self._done[name]

    def _merged(self, name: str, chain: tuple[str, ...]) -> dict[str, Any]:
        job = self._root.get(name)
        if not isinstance(job, dict):
            return {}
        merged: dict[str, Any] = {}
        for parent in _texts(job.get("extends")):
            rule, problem = self._objection(parent, chain)
            if problem:
                self.problems.append(Problem(rule, f"job {name!r} {problem}", (name, "extends")))
            else:
                merged = deep_merge(merged, self.of(parent, chain))
            if problem or parent in self.broken:
                self.broken.add(name)
        return deep_merge(merged, {key: value for key, value in job.items() if key != "extends"})

    def _objection(self, parent: str, chain: tuple[str, ...]) -> tuple[str, str]:
        """Rule and reason why this parent cannot be extended, or nothing."""
        if parent in chain:
            return "extends-cycle", f"extends {parent!r} in a circle"
        if len(chain) > EXTENDS_DEPTH:
            return "extends-depth", f"extends more than {EXTENDS_DEPTH} levels deep"
        if not isinstance(self._root.get(parent), dict):
            others = [name for name, body in self._root.items() if isinstance(body, dict) and name != chain[-1]]
            near = next(iter(difflib.get_close_matches(parent, others, 1)), "")
            hint = f" (is {near!r} meant?)" if near else ""
            return "unknown-extends", f"extends {parent!r}, which is not in the file{hint}"
        return "", ""


def deep_merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both mappings in one: mappings are merged, of everything else what is `over` counts."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = deep_merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _defaults(job: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """What the job takes from `default` or the old global keywords, as far as its `inherit` lets it."""
    inherit = job.get("inherit")
    rule = inherit.get("default", True) if isinstance(inherit, dict) else True
    if rule is False:
        return {}
    default = root.get("default")
    known = {**root, **default} if isinstance(default, dict) else dict(root)
    allowed = [key for key in DEFAULTABLE if not isinstance(rule, list) or key in rule]
    return {key: known[key] for key in allowed if key in known}


def _texts(value: Any) -> list[str]:
    """A name or a list of names as a list."""
    return [str(item) for item in value] if isinstance(value, list) else [value] if isinstance(value, str) else []
