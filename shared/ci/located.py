"""YAML as plain values that still know their line, so that a finding names it after merges and `extends`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MERGE_TAG = "tag:yaml.org,2002:merge"
NULL_TAG = "tag:yaml.org,2002:null"


class Text(str):
    """A scalar as it is written, with its line (from 1)."""

    __slots__ = ("line",)
    line: int

    def __new__(cls, value: str, line: int) -> Self:
        """The text with its line."""
        text = super().__new__(cls, value)
        text.line = line
        return text


@dataclass(frozen=True)
class Pointer:
    """GitLab's `!reference [job, key, …]`."""

    path: tuple[str, ...]
    line: int


class BadYamlError(ValueError):
    """The text is no YAML; `line` (from 1) where the parser tells."""

    def __init__(self, reason: str, line: int | None) -> None:
        """`reason` is the parser's sentence."""
        super().__init__(reason)
        self.line = line


def read(text: str) -> Any:
    """Dicts, lists, `Text`, `Pointer` and None; every scalar stays text. Raises BadYamlError."""
    try:
        root = YAML(typ="safe", pure=True).compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYamlError(error.problem or "not YAML", mark.line + 1 if mark else None) from error
    except YAMLError as error:
        raise BadYamlError(str(error), None) from error
    return None if root is None else _value(root, {})


def _value(node: Node, seen: dict[int, Any]) -> Any:
    """The value of a node; an anchor's value is built once, so that nested anchors cannot blow up."""
    if id(node) not in seen:
        seen[id(node)] = None
        seen[id(node)] = _built(node, seen)
    return seen[id(node)]


def _built(node: Node, seen: dict[int, Any]) -> Any:
    line = node.start_mark.line + 1
    if isinstance(node, ScalarNode):
        return None if node.tag == NULL_TAG else Text(node.value, line)
    if isinstance(node, SequenceNode):
        items = [_value(item, seen) for item in node.value]
        return Pointer(tuple(str(i) for i in items), line) if node.tag == "!reference" else items
    return _mapping(node, seen) if isinstance(node, MappingNode) else None


def _mapping(node: MappingNode, seen: dict[int, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag == MERGE_TAG:
            merged = {**_merged(_value(value, seen)), **merged}
        else:
            own[_key(key)] = _value(value, seen)
    return {**merged, **own}


def _merged(value: Any) -> dict[str, Any]:
    """What `<<` brings: a mapping, or several of which the first wins."""
    found: dict[str, Any] = {}
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict):
            found = {**part, **found}
    return found


def _key(node: Node) -> str:
    return Text(node.value, node.start_mark.line + 1) if isinstance(node, ScalarNode) else str(node.value)
