"""`.gitlab-ci.yml` as YAML: GitLab's `!reference` tag, duplicate keys and runaway aliases refused, libyaml's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

MAX_BYTES = 1 << 20
MAX_NODES = 50_000
TOO_BIG = "The parsed YAML is too big"


class CiError(Exception):
    """What GitLab would show as the YAML error of a pipeline."""


@dataclass(frozen=True)
class Reference:
    """`!reference [job, key, …]` before it is resolved."""

    path: tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML with `!reference`; a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002 - PyYAML's signature
        """Names as text, as GitLab has them (`on:` is not a boolean there either)."""
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                raise CiError(f"(<unknown>): duplicate key {name} at line {key.start_mark.line + 1}")
            seen.add(name)
        self.flatten_mapping(node)
        return {str(key.value): self.construct_object(value, deep=True) for key, value in node.value}


def _reference(loader: _Loader, node: yaml.Node) -> Reference:
    path = loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None
    if not path or not all(isinstance(part, str) for part in path):
        raise CiError(f"!reference {_inspect(path or [])} is not valid")
    return Reference(tuple(path))


_Loader.add_constructor("!reference", _reference)


def parse(text: str) -> dict[str, Any]:
    """The document with its references unresolved. Raises CiError in GitLab's words."""
    if not text.strip():
        raise CiError("Please provide content of .gitlab-ci.yml")
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise CiError(TOO_BIG)
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
        document = documents[-1] if documents else None
        if not isinstance(document, dict):
            raise CiError("Invalid configuration format")
        measure(document, {})
    except yaml.YAMLError as error:
        raise CiError(_words(text, error)) from error
    except (RecursionError, ValueError, TypeError, AttributeError) as error:
        raise CiError(TOO_BIG if isinstance(error, RecursionError) else f"(<unknown>): {error}") from error
    return document


def measure(value: Any, known: dict[int, int]) -> int:
    """How many nodes the value has with every alias written out. CiError where they are too many."""
    if isinstance(value, date):
        raise CiError("Tried to load unspecified class: Date")
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(measure(item, known) for item in inner)
    if known[id(value)] > MAX_NODES:
        raise CiError(TOO_BIG)
    return known[id(value)]


def _words(text: str, error: yaml.YAMLError) -> str:
    """What libyaml says of the document, which GitLab reads it with; PyYAML's own words where libyaml has none."""
    try:
        for _ in yaml.parse(text, Loader=yaml.CSafeLoader):
            pass
    except yaml.YAMLError as other:
        error = other
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [part for part in (getattr(error, "problem", None), getattr(error, "context", None)) if part]
    said = " ".join(parts) or str(error).splitlines()[0]
    return f"(<unknown>): {said}" + (f" at line {mark.line + 1} column {mark.column + 1}" if mark else "")


def resolve(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every `!reference` replaced by what it points at. Raises CiError in GitLab's words."""
    try:
        resolved: dict[str, Any] = _Resolver(document).resolve(document, ())
    except RecursionError as error:
        raise CiError(TOO_BIG) from error
    return resolved


class _Resolver:
    """Follows references within one document; the budget ends a document that would unfold without end."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._budget = 4 * MAX_NODES

    def resolve(self, value: Any, chain: tuple[Reference, ...]) -> Any:
        """The value without references; `chain` are the references that led here."""
        self._budget -= 1
        if self._budget < 0:
            raise CiError(TOO_BIG)
        if isinstance(value, Reference):
            if value in chain:
                raise CiError(f"!reference {_inspect(value.path)} is part of a circular chain")
            return self.resolve(self._pointed(value), (*chain, value))
        if isinstance(value, dict):
            return {key: self.resolve(inner, chain) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.resolve(inner, chain) for inner in value]
        return value

    def _pointed(self, reference: Reference) -> Any:
        found: Any = self._document
        for name in reference.path:
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            raise CiError(f"!reference {_inspect(reference.path)} could not be found")
        return found


def _inspect(path: Any) -> str:
    """A list as Ruby prints it."""
    return "[" + ", ".join(f'"{part}"' for part in path) + "]"
