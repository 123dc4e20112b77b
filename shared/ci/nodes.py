"""YAML text as a tree of nodes that know their place, read by libyaml: the parser that GitLab itself uses.

The tree is built from libyaml's events without recursion, so that no text can exhaust the stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml
from yaml import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import CollectionStartEvent, DocumentStartEvent, NodeEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml.error import Mark

# GitLab's `max_yaml_depth`.
DEPTH_LIMIT = 100
# A header of inputs (`spec`) and the pipeline; GitLab reads no third document.
DOCUMENTS_LIMIT = 2

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What GitLab decodes (Psych does), so that nobody could read what the file says.
_BINARY = ("!binary", "tag:yaml.org,2002:binary")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KEY_LINE = re.compile(r"\s*[\w.-]+:(?:\s|$)")
# The mistakes whose cause is where the thing began, not where libyaml noticed that it does not end.
_BEGINNING = ("while scanning a simple key", "while scanning a quoted scalar")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as written; `plain` where it is not quoted. Line and column count from 1, here and below."""

    value: str
    plain: bool
    tag: str
    line: int
    column: int


@dataclass(slots=True)
class Sequence:
    """A list of nodes."""

    tag: str
    line: int
    column: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Pairs of nodes in their order, equal keys included."""

    tag: str
    line: int
    column: int
    items: list[Node] = field(default_factory=list)

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Each key with its value."""
        return zip(self.items[::2], self.items[1::2], strict=True)


Node = Scalar | Sequence | Mapping


class UnreadableError(Exception):
    """The text is not read further; the rule says what kind of wrong it is."""

    def __init__(self, message: str, line: int = 1, column: int = 1, rule: str = "yaml-syntax") -> None:
        super().__init__(message)
        self.line, self.column, self.rule = line, column, rule


def documents(text: str) -> list[Node]:
    """The roots of the text's documents; aliases are the anchored node itself. UnreadableError where it is not YAML."""
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        line = text.count("\n", 0, unprintable.start()) + 1
        raise UnreadableError(f"the character {unprintable[0]!r} is not allowed in YAML", line)
    last: NodeEvent | None = None
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
            last = event if isinstance(event, NodeEvent) else last
    except MarkedYAMLError as error:
        raise _translated(error, last, text) from error
    except YAMLError as error:
        raise UnreadableError(str(error).partition("\n")[0]) from error
    return builder.roots


class _Builder:
    """Puts the events together."""

    def __init__(self) -> None:
        self.roots: list[Node] = []
        self._open: list[Sequence | Mapping] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: yaml.Event) -> None:
        """Add one event to the tree."""
        if isinstance(event, ScalarEvent):
            line, column = _place(event)
            if event.tag in _BINARY:
                raise UnreadableError("a pipeline is text: the tag !!binary is not read", line, column)
            self._add(Scalar(event.value, not event.style, event.tag or "", line, column), event.anchor)
        elif isinstance(event, CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            self._open.pop()
        elif isinstance(event, AliasEvent):
            self._add(self._aliased(event), None)
        elif isinstance(event, DocumentStartEvent):
            self._anchors.clear()
            if len(self.roots) == DOCUMENTS_LIMIT:
                raise UnreadableError(f"the file has more than {DOCUMENTS_LIMIT} documents (---)", *_place(event))

    def _begin(self, event: CollectionStartEvent) -> None:
        line, column = _place(event)
        kind = Mapping if isinstance(event, MappingStartEvent) else Sequence
        node = kind(event.tag or "", line, column)
        self._add(node, event.anchor)
        self._open.append(node)
        if len(self._open) > DEPTH_LIMIT:
            raise UnreadableError("the document is nested too deeply", line, column, "yaml-size")

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].items.append(node)
        else:
            self.roots.append(node)

    def _aliased(self, event: AliasEvent) -> Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            raise UnreadableError(f"the alias *{event.anchor} has no anchor above it", *_place(event))
        if any(node is above for above in self._open):
            raise UnreadableError(f"the alias *{event.anchor} stands within its own anchor", *_place(event))
        return node


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _translated(error: MarkedYAMLError, last: NodeEvent | None, text: str) -> UnreadableError:
    """The error in libyaml's words, at the place of its cause."""
    message = " ".join(part for part in ((error.problem or "not YAML").strip(), error.context) if part)
    if isinstance(last, ScalarEvent) and last.style in ("'", '"') and _breaks(last):
        closed = f"the quote that opens here ends in line {_place(last)[0] + _breaks(last)}"
        return UnreadableError(f"{message}: {closed}", *_place(last))
    begun = (error.context in _BEGINNING or _left_open(error, text)) and error.context_mark
    mark: Mark | None = begun or error.problem_mark or error.context_mark
    return UnreadableError(message, mark.line + 1, mark.column + 1) if mark else UnreadableError(message)


def _left_open(error: MarkedYAMLError, text: str) -> bool:
    """Whether a bracket is not closed in its line, and the file ends, or goes on with a key, as if it were."""
    began, mark = error.context_mark, error.problem_mark
    if not (began and mark and mark.line > began.line and "while parsing a flow" in (error.context or "")):
        return False
    lines = text.splitlines()
    return mark.line >= len(lines) or bool(_KEY_LINE.match(lines[mark.line]))


def _breaks(event: ScalarEvent) -> int:
    """Over how many ends of lines a scalar goes."""
    return event.end_mark.line - event.start_mark.line if event.start_mark and event.end_mark else 0
