"""A `.gitlab-ci.yml` as typed values that keep their position: parsed once, asked by every check.

Nothing here raises on bad input: what is wrong with the text stands in `Document.problems`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.ci.located import Pointer
from shared.ci.nodes import DEPTH_LIMIT, Scalar, Sequence, UnreadableError, documents
from shared.ci.nodes import Mapping as MappingNode
from shared.ci.resolve import DEFAULTABLE, NOT_JOBS, Problem, Resolution, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ci.finding import Severity
    from shared.ci.nodes import Node

Path = tuple["str | int", ...]

# An event's body stays under 256 KB and carries the files more than once.
SIZE_LIMIT = 64_000
# Aliases can make a short text stand for millions of values; a nine-stage file has some three hundred.
NODE_LIMIT = 50_000
# GitLab interpolates inputs before it reads the file further.
INPUT = "$[["

# GitLab reads YAML 1.1 (Psych): the untagged scalars that are not text.
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_NULL = frozenset({"", "~", "null"})
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,17})")
_OCTAL = re.compile(r"0[0-7]{1,17}")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]{0,17})?\.[0-9]{1,17}(?:[eE][-+]?[0-9]{1,3})?|[-+]?[0-9]{1,17}\.")

DEFAULT_STAGES = (".pre", "build", "test", "deploy", ".post")


@dataclass(frozen=True)
class Document:
    """One pipeline file; `root` is empty where the text is no mapping, `problems` is what is wrong with it as YAML.

    `header` declares inputs. A `fragment` is looked at without the files that belong to it; `origins` has the file of
    each path that comes from another one (`shared.ci.include`).
    """

    text: str
    root: Mapping[str, Any] = field(default_factory=dict)
    positions: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
    fragment: bool = False
    origins: Mapping[Path, str] = field(default_factory=dict)

    @property
    def readable(self) -> bool:
        """Whether the text could be read as a mapping; what follows from its content is unknown otherwise."""
        return bool(self.root)

    @property
    def outside(self) -> bool:
        """Whether a part is elsewhere (other files, whoever includes this one): what is missing is then no mistake."""
        return bool(self.fragment or self.header or self.root.get("include"))

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The declared stages; GitLab's own three (with `.pre` and `.post`) where there are none."""
        declared = self.root.get("stages")
        if not isinstance(declared, list):
            return DEFAULT_STAGES
        return tuple(str(stage) for stage in declared)

    @property
    def knows_stages(self) -> bool:
        """Whether the list of stages is known: no input in it, and where it is not declared here, nobody else can."""
        declared = self.root.get("stages")
        if declared is None:
            return not self.outside
        return isinstance(declared, list) and INPUT not in str(declared)

    @cached_property
    def variables(self) -> dict[str, str]:
        """The global variables by name; of the long form the `value`."""
        section = self.root.get("variables")
        pairs = section.items() if isinstance(section, dict) else ()
        values = {name: v.get("value") if isinstance(v, dict) else v for name, v in pairs}
        return {name: _as_text(v) for name, v in values.items() if isinstance(v, str | int | float)}

    @cached_property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """The jobs as written, hidden ones left out, in the order of the file."""
        named = self.root.items()
        return {n: j for n, j in named if n not in NOT_JOBS and not n.startswith(".") and isinstance(j, dict)}

    @cached_property
    def resolution(self) -> Resolution:
        """The jobs after `!reference`, `extends` and `default`, and what pointed to nothing."""
        return resolve(self.root, tuple(self.jobs), outside=self.outside)

    @property
    def resolved(self) -> dict[str, dict[str, Any]]:
        """The jobs as GitLab would run them."""
        return self.resolution.jobs

    def origin_of(self, job: str, key: str) -> Path:
        """The path at which a resolved job's key is written: in the job, in what it extends, or in `default`."""
        pending, seen = [job], set[str]()
        while pending:
            name = pending.pop()
            body = self.root.get(name)
            if name in seen or not isinstance(body, dict):
                continue
            if key in body:
                return (name, key)
            seen.add(name)
            parents = body.get("extends")
            pending += [str(p) for p in parents] if isinstance(parents, list) else [str(parents)]
        default = self.root.get("default")
        inherited = [("default", key)] if isinstance(default, dict) and key in default else []
        return inherited[0] if inherited else (key,) if key in self.root and key in DEFAULTABLE else (job,)

    def position_of(self, path: Path) -> tuple[int, int]:
        """Line and column, from 1, of the key or item at this path, or of the nearest thing above it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.positions:
                return self.positions[path[:length]]
        return (1, 1)

    def file_of(self, path: Path, otherwise: str) -> str:
        """The file of the place that `position_of` gives."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.positions:
                return self.origins.get(path[:length], otherwise)
        return otherwise

    def line_of(self, path: Path) -> int:
        """The line, from 1, of the key or item at this path, or of the nearest thing above it."""
        return self.position_of(path)[0]


def parse(text: str, limit: int = SIZE_LIMIT) -> Document:
    """The document of a text of at most `limit` characters; never raises."""
    try:
        _refuse_at_sight(text, limit)
        return _built(text, documents(text))
    except UnreadableError as error:
        position = (min(error.line, text.count("\n") + 1), error.column)
        return Document(text, problems=(Problem(error.rule, str(error), (), position),))


def _refuse_at_sight(text: str, limit: int) -> None:
    if len(text) > limit:
        raise UnreadableError(f"the file has {len(text)} characters, more than {limit}", rule="yaml-size")
    if not text.strip():
        raise UnreadableError("the file is empty", rule="yaml-empty")


def _built(text: str, roots: list[Node]) -> Document:
    """The document of its roots; two are a header that declares inputs, and the pipeline."""
    header: Any = _Reader().value(roots[0], (), 0) if len(roots) > 1 else {}
    reader = _Reader()
    value = reader.value(roots[-1], (), 0) if roots else None
    if len(roots) > 1 and not (isinstance(header, dict) and "spec" in header):
        message = "a second document (---) begins here, and the first is no header with 'spec'"
        raise UnreadableError(message, roots[-1].line, 1)
    if not isinstance(value, dict):
        raise UnreadableError("the file is not a mapping of job names to jobs", rule="yaml-mapping")
    return Document(text, value, reader.positions, tuple(reader.problems), header=header)


class _Reader:
    """Walks the nodes, aliases expanded, and keeps positions and duplicate keys."""

    def __init__(self) -> None:
        self.positions: dict[Path, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._seen = 0

    def value(self, node: Node, path: Path, depth: int) -> Any:
        """The plain value of a node at a path."""
        self._seen += 1
        if self._seen > NODE_LIMIT or depth > DEPTH_LIMIT:
            kind = "nested too deeply" if depth > DEPTH_LIMIT else f"of more than {NODE_LIMIT} values (aliases counted)"
            raise UnreadableError(f"the document is {kind}", node.line, node.column, "yaml-size")
        if isinstance(node, Scalar):
            return _scalar(node)
        return self._sequence(node, path, depth) if isinstance(node, Sequence) else self._mapping(node, path, depth)

    def _sequence(self, node: Sequence, path: Path, depth: int) -> Any:
        items = []
        for number, item in enumerate(node.items):
            self._place(item, (*path, number))
            items.append(self.value(item, (*path, number), depth + 1))
        if node.tag == "!reference":
            return Pointer(tuple(str(item) for item in items), node.line)
        return items

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        """The pairs in their order: as in Ruby, `<<`, quoted or not, hides keys above it, those below hide it."""
        found: dict[str, Any] = {}
        own: set[str] = set()
        for key, value in node.pairs():
            name = key.value if isinstance(key, Scalar) else "<a key that is no text>"
            if name == "<<" and isinstance(key, Scalar) and key.tag != "tag:yaml.org,2002:str":
                found |= self._merged(value, path, depth)
                continue
            if name in own:
                self._duplicate(key, (*path, name))
            own.add(name)
            self._place(key, (*path, name))
            found[name] = self.value(value, (*path, name), depth + 1)
        return found

    def _merged(self, node: Node, path: Path, depth: int) -> dict[str, Any]:
        """What `<<` brings: one mapping, or several of which the first wins."""
        brought = self.value(node, path, depth + 1)
        found: dict[str, Any] = {}
        for part in brought if isinstance(brought, list) else [brought]:
            if isinstance(part, dict):
                found = {**part, **found}
        return found

    def _duplicate(self, key: Node, path: Path) -> None:
        """A key that stands twice; of a hidden job that is a warning: its first form may be used through an anchor."""
        first = self.positions[path][0]
        message = f"key {path[-1]!r} stands here and in line {first}; GitLab drops the first without a word"
        severity: Severity = "warning" if len(path) == 1 and str(path[0]).startswith(".") else "error"
        self.problems.append(Problem("yaml-duplicate-key", message, path, (key.line, key.column), severity))

    def _place(self, node: Node, path: Path) -> None:
        self.positions[path] = (node.line, node.column)


def _scalar(node: Scalar) -> Any:
    """Text where quoted or tagged, else what YAML 1.1 makes of it; dates stay text."""
    text = node.value
    if not node.plain or node.tag:
        return text
    lowered = text.lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    if lowered in _NULL:
        return None
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    return float(text.replace("_", "")) if _FLOAT.fullmatch(text) else text


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
