"""A `.gitlab-ci.yml` as typed values that keep their position: parsed once, asked by every check.

Nothing here raises on bad input: what is wrong with the text stands in `Document.problems`.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from shared.ci.located import MERGE_TAG, Pointer
from shared.ci.resolve import DEFAULTABLE, NOT_JOBS, Problem, Resolution, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple["str | int", ...]

# An event's body stays under 256 KB and carries the files more than once.
SIZE_LIMIT = 64_000
# Aliases can make a short text stand for millions of values; a nine-stage file has some three hundred.
NODE_LIMIT = 20_000
DEPTH_LIMIT = 60

# GitLab reads YAML 1.1 (Psych): the untagged scalars that are not text.
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_NULL = frozenset({"", "~", "null"})
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,17})")
_OCTAL = re.compile(r"0[0-7]{1,17}")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]{0,17})?\.[0-9]{1,17}(?:[eE][-+]?[0-9]{1,3})?|[-+]?[0-9]{1,17}\.")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

DEFAULT_STAGES = (".pre", "build", "test", "deploy", ".post")


@dataclass(frozen=True)
class Document:
    """One pipeline file; `root` is empty where the text is no mapping, `problems` is what is wrong with it as YAML."""

    text: str
    root: Mapping[str, Any] = field(default_factory=dict)
    positions: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether the text could be read as a mapping; what follows from its content is unknown otherwise."""
        return bool(self.root)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The declared stages; GitLab's own three (with `.pre` and `.post`) where there are none."""
        declared = self.root.get("stages")
        if not isinstance(declared, list):
            return DEFAULT_STAGES
        return tuple(str(stage) for stage in declared)

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
        return resolve(self.root, tuple(self.jobs))

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

    def line_of(self, path: Path) -> int:
        """The line, from 1, of the key or item at this path, or of the nearest thing above it."""
        return self.position_of(path)[0]


def parse(text: str) -> Document:
    """The document of a text; never raises."""
    try:
        _refuse_at_sight(text)
        return _built(text, _composed(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return _refused(text, "yaml-syntax", _sentence(error), min(line, text.count("\n") + 1), column)
    except _RefusedError as error:
        return _refused(text, error.rule, str(error), error.line)
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError, AssertionError) as error:
        # ruamel's scanner lets errors of its own internals through on some broken input.
        return _refused(text, "yaml-syntax", f"not readable as YAML: {type(error).__name__}")
    except RecursionError:
        return _refused(text, "yaml-size", "the file is nested too deeply to be read")


def _composed(text: str) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    root: Node | None = yaml.compose(io.StringIO(text))
    return root


def _sentence(error: MarkedYAMLError) -> str:
    context = f" {error.context}" if error.context else ""
    return f"{(error.problem or 'not YAML').strip()}{context}"


def _refused(text: str, rule: str, message: str, line: int = 1, column: int = 1) -> Document:
    return Document(text, problems=(Problem(rule, message, (), (line, column)),))


def _built(text: str, root: Node | None) -> Document:
    reader = _Reader()
    value = None if root is None else reader.value(root, (), 0)
    if not isinstance(value, dict):
        return _refused(text, "yaml-mapping", "the file is not a mapping of job names to jobs")
    return Document(text, value, reader.positions, tuple(reader.problems))


class _RefusedError(Exception):
    """The text is not read further."""

    def __init__(self, message: str, line: int, rule: str = "yaml-size") -> None:
        super().__init__(message)
        self.line = line
        self.rule = rule


def _refuse_at_sight(text: str) -> None:
    """Raise for what needs no parser: too long, empty, or not text."""
    if len(text) > SIZE_LIMIT:
        raise _RefusedError(f"the file has {len(text)} characters, more than {SIZE_LIMIT}", 1)
    if not text.strip():
        raise _RefusedError("the file is empty", 1, "yaml-empty")
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        line = text.count("\n", 0, unprintable.start()) + 1
        raise _RefusedError(f"the character {unprintable[0]!r} is not allowed in YAML", line, "yaml-syntax")


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
            raise _RefusedError(f"the document is {kind}", node.start_mark.line + 1)
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if isinstance(node, SequenceNode):
            return self._sequence(node, path, depth)
        return self._mapping(node, path, depth) if isinstance(node, MappingNode) else None

    def _sequence(self, node: SequenceNode, path: Path, depth: int) -> Any:
        items = []
        for number, item in enumerate(node.value):
            self._place(item, (*path, number))
            items.append(self.value(item, (*path, number), depth + 1))
        if str(node.tag) == "!reference":
            return Pointer(tuple(str(item) for item in items), node.start_mark.line + 1)
        return items

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if str(key.tag) == MERGE_TAG or (isinstance(key, ScalarNode) and key.value == "<<"):
                merged = {**self._merged(value, path, depth), **merged}
                continue
            name = key.value if isinstance(key, ScalarNode) else str(key.tag)
            if name in own:
                self._duplicate(key, name, (*path, name))
            self._place(key, (*path, name))
            own[name] = self.value(value, (*path, name), depth + 1)
        return {**merged, **own}

    def _merged(self, node: Node, path: Path, depth: int) -> dict[str, Any]:
        """What `<<` brings: one mapping, or several of which the first wins."""
        brought = self.value(node, path, depth + 1)
        found: dict[str, Any] = {}
        for part in brought if isinstance(brought, list) else [brought]:
            if isinstance(part, dict):
                found = {**part, **found}
        return found

    def _duplicate(self, key: Node, name: str, path: Path) -> None:
        first = self.positions[path][0]
        message = f"key {name!r} stands here and in line {first}; GitLab drops the first without a word"
        mark = (key.start_mark.line + 1, key.start_mark.column + 1)
        self.problems.append(Problem("yaml-duplicate-key", message, path, mark))

    def _place(self, node: Node, path: Path) -> None:
        self.positions[path] = (node.start_mark.line + 1, node.start_mark.column + 1)


def _scalar(node: ScalarNode) -> Any:
    """Text where quoted or tagged so, else what YAML 1.1 makes of it; dates stay text."""
    text = str(node.value)
    if node.style is not None or str(node.tag) == "tag:yaml.org,2002:binary":
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
