"""One document out of several: `include:local` and `extends`, merged as GitLab merges them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.gitlab.ci_glob import matches
from sandbox.gitlab.ci_rules import judge
from sandbox.gitlab.ci_variables import expand
from sandbox.gitlab.ci_yaml import CiError, Reference, measure, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_INCLUDES = 150
MAX_EXTENDS = 10
SUBKEYS = ("local", "project", "remote", "template", "artifact", "component")


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A merge of hashes within hashes; lists and scalars are replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = deep_merge(merged[key], value) if both else value
    return merged


class Includes:
    """Reads local includes, those of the included files too."""

    def __init__(
        self,
        read: Callable[[str], str | None],
        files: Sequence[str],
        changed: Sequence[str],
        variables: Mapping[str, str],
    ) -> None:
        """`variables` are what an include's path and rules may name."""
        self._read = read
        self._files = files
        self._changed = changed
        self._variables = variables
        self._count = 0

    def merged(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document over all that it includes. Raises CiError in GitLab's words."""
        listed = document.get("include") or []
        below: dict[str, Any] = {}
        for entry in listed if isinstance(listed, list) else [listed]:
            for path in self._paths(entry):
                below = deep_merge(below, self._load(path))
        own = {key: value for key, value in document.items() if key != "include"}
        return deep_merge(below, own)

    def _load(self, path: str) -> dict[str, Any]:
        self._count += 1
        if self._count > MAX_INCLUDES:
            raise CiError(f"Maximum of {MAX_INCLUDES} nested includes are allowed!")
        if not path.endswith((".yml", ".yaml")):
            raise CiError(f"Included file `{path}` does not have YAML extension!")
        text = self._read(path)
        if text is None:
            raise CiError(f"Local file `{path}` does not exist!")
        if not text.strip():
            raise CiError(f"Local file `{path}` is empty!")
        try:
            return self.merged(parse(text))
        except CiError as error:
            plain = str(error) == "Invalid configuration format"
            raise CiError(f"`{path}`: {error}" if plain else str(error)) from error

    def _paths(self, entry: Any) -> list[str]:
        """The files of one entry: none where its rules leave it out, several where it has a wildcard."""
        if isinstance(entry, dict):
            rules = entry.get("rules")
            if rules is not None and not judge(rules, self._variables, self._files, self._changed).included:
                return []
        path = expand(_local(entry), self._variables).lstrip("/")
        if "*" not in path:
            return [path]
        found = [file for file in self._files if matches(file, path)]
        if not found:
            raise CiError(f"Local file `{path}` does not exist!")
        return sorted(found)


def _local(entry: Any) -> str:
    """The path of a local include; every other kind lies beyond the air gap."""
    if isinstance(entry, str):
        if entry.startswith(("http://", "https://")):
            raise CiError(f"Remote file `{entry}` could not be fetched because of a timeout error!")
        return entry
    kinds = [kind for kind in SUBKEYS if kind in entry] if isinstance(entry, dict) else []
    if not kinds:
        listed = "`, `".join(SUBKEYS)
        raise CiError(f"`{entry}` does not have a valid subkey for include. Valid subkeys are: `{listed}`")
    if len(kinds) > 1:
        raise CiError(f"Each include must use only one of: `{'`, `'.join(SUBKEYS)}`")
    if kinds != ["local"]:
        what = {"remote": "Remote file", "template": "Template file", "project": "Project"}.get(kinds[0], kinds[0])
        raise CiError(f"{what} `{entry[kinds[0]]}` could not be fetched because of a timeout error!")
    return str(entry["local"])


def extended(document: dict[str, Any]) -> dict[str, Any]:
    """Every job over what it extends. Raises CiError in GitLab's words."""
    done: dict[str, Any] = {}
    result = {name: _extended(name, document, (), done) for name in document}
    measure(result, {})
    return result


def _extended(name: str, document: dict[str, Any], ancestors: tuple[str, ...], done: dict[str, Any]) -> Any:
    job = document[name]
    if not isinstance(job, dict) or "extends" not in job:
        return job
    if name in done:
        return done[name]
    parents = _parents(name, job["extends"], document)
    if len(ancestors) > MAX_EXTENDS:
        raise CiError(f"{name}: nesting too deep in `extends`")
    if name in ancestors:
        raise CiError(f"{name}: circular dependency detected in `extends`")
    merged: dict[str, Any] = {}
    for parent in parents:
        merged = deep_merge(merged, _extended(parent, document, (*ancestors, name), done))
    done[name] = {key: value for key, value in deep_merge(merged, job).items() if key != "extends"}
    return done[name]


def _parents(name: str, given: Any, document: Mapping[str, Any]) -> list[str]:
    if isinstance(given, Reference | dict):
        raise CiError(f"jobs:{name} extends should be an array of strings or a string")
    parents = [str(parent) for parent in (given if isinstance(given, list) else [given])]
    unknown = [parent for parent in parents if parent not in document]
    if unknown:
        raise CiError(f"{name}: unknown keys in `extends` ({', '.join(unknown)})")
    invalid = [parent for parent in parents if not isinstance(document[parent], dict)]
    if invalid:
        raise CiError(f"{name}: invalid base hashes in `extends` ({', '.join(invalid)})")
    return parents
