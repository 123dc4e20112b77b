"""`.gitlab-ci.yml` as GitLab reads it: `!reference`, `extends`, and errors in GitLab's words."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 1 << 20
MAX_NODES = 20_000
EXTENDS_DEPTH = 11
REFERENCE_DEPTH = 10


class CiError(Exception):
    """What GitLab would show as the YAML error of a pipeline."""


@dataclass(frozen=True)
class Reference:
    """`!reference [job, key, …]` before it is resolved."""

    path: tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML with `!reference`; duplicate keys and runaway aliases are errors."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count the nodes, so that a few kilobytes of aliases cannot become gigabytes."""
        self.nodes = getattr(self, "nodes", 0) + 1
        if self.nodes > MAX_NODES:
            raise CiError("The parsed YAML is too big")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                raise CiError(f"Invalid configuration format: duplicate key {name} at line {key.start_mark.line + 1}")
            seen.add(name)
        self.flatten_mapping(node)
        return super().construct_mapping(node, deep=True or deep)


def _reference(loader: _Loader, node: yaml.Node) -> Reference:
    if not isinstance(node, yaml.SequenceNode):
        raise CiError("!reference expects a list")
    return Reference(tuple(map(str, loader.construct_sequence(node))))


_Loader.add_constructor("!reference", _reference)


def load(text: str) -> dict[str, Any]:
    """The document, its references and `extends` resolved. Raises CiError in GitLab's words."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise CiError("The YAML file is too big")
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise CiError(_syntax(error)) from error
    except (RecursionError, ValueError, TypeError) as error:
        raise CiError(f"Invalid configuration format: {error}") from error
    if not isinstance(document, dict):
        raise CiError("Invalid configuration format")
    try:
        if _expanded_size(document, {}) > MAX_NODES:
            raise CiError("The parsed YAML is too big")
        document = _expand_references(document, document, 0)
        return {str(name): _extended(str(name), document, ()) for name in document}
    except RecursionError as error:
        raise CiError("The parsed YAML is too big") from error


def _syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    where = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
    return f"Invalid configuration format: (<unknown>): {problem}{where}"


def _expanded_size(value: Any, known: dict[int, int]) -> int:
    """How many nodes the value has with every alias written out; each shared node is counted once per use."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded_size(item, known) for item in inner)
    return known[id(value)]


def _expand_references(value: Any, document: dict[str, Any], depth: int) -> Any:
    """Every `!reference` replaced by what it points at; within a list a referenced list is spliced in."""
    if isinstance(value, Reference):
        if depth > REFERENCE_DEPTH:
            raise CiError(f"!reference {list(value.path)} is nested too deeply")
        return _expand_references(copy.deepcopy(_pointed(value, document)), document, depth + 1)
    if isinstance(value, dict):
        return {key: _expand_references(inner, document, depth) for key, inner in value.items()}
    if isinstance(value, list):
        items: list[Any] = []
        for inner in value:
            expanded = _expand_references(inner, document, depth)
            spliced = isinstance(inner, Reference) and isinstance(expanded, list)
            items.extend(expanded if spliced else [expanded])
        return items
    return value


def _pointed(reference: Reference, document: dict[str, Any]) -> Any:
    found: Any = document
    for name in reference.path:
        if not isinstance(found, dict) or name not in found:
            words = ", ".join(f'"{part}"' for part in reference.path)
            raise CiError(f"!reference [{words}] could not be found")
        found = found[name]
    return found


def _extended(name: str, document: dict[str, Any], chain: tuple[str, ...]) -> Any:
    """A job merged over all that it extends."""
    job = document[name]
    if not isinstance(job, dict) or "extends" not in job:
        return job
    if name in chain:
        raise CiError(f"{chain[0]}: circular dependency detected in `extends`")
    if len(chain) >= EXTENDS_DEPTH:
        raise CiError(f"{chain[0]}: nesting too deep in `extends`")
    parents = job["extends"] if isinstance(job["extends"], list) else [job["extends"]]
    merged: dict[str, Any] = {}
    for parent in map(str, parents):
        if parent not in document:
            raise CiError(f"{name}: unknown keys in `extends` ({parent})")
        base = _extended(parent, document, (*chain, name))
        if not isinstance(base, dict):
            raise CiError(f"{name}: invalid base hashes in `extends` ({parent})")
        merged = _merge(merged, base)
    return _merge(merged, {key: value for key, value in job.items() if key != "extends"})


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A deep merge of hashes; lists and scalars are replaced, null removes."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
