"""Variables of a pipeline: as the file gives them, GitLab's own `CI_*`, and their expansion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.gitlab.ci_yaml import CiError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = re.compile(r"\$\$|\$\{(\w+)\}|\$(\w+)|%(\w+)%")
MAX_LENGTH = 65_536
DEFINITION = "variable definition must be either a string or a hash"


def declared(given: Any, where: str) -> dict[str, str]:
    """The values of a `variables:` hash as text. Raises CiError in GitLab's words."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise CiError(f"{where} config should be a hash")
    return {str(key): _value(value) for key, value in given.items()}


def _value(given: Any) -> str:
    if isinstance(given, dict):
        given = given.get("value", "")
    if isinstance(given, bool):
        return str(given).lower()
    if not isinstance(given, str | int | float):
        raise CiError(DEFINITION)
    return str(given)


def predefined(ref: str, default_branch: str, source: str, *, tag: bool = False) -> dict[str, str]:
    """What GitLab itself gives every pipeline; the server adds what it knows of project and commit."""
    own = {"CI_COMMIT_TAG": ref} if tag else {"CI_COMMIT_BRANCH": ref}
    slug = re.sub(r"[^a-z0-9]", "-", ref.lower())[:63].strip("-")
    return {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_SERVER": "yes",
        "CI_SERVER_NAME": "GitLab",
        **({} if source == "merge_request_event" else own),
        "CI_COMMIT_REF_NAME": ref,
        "CI_COMMIT_REF_SLUG": slug,
        "CI_DEFAULT_BRANCH": default_branch,
        "CI_PIPELINE_SOURCE": source,
    }


def is_predefined(name: str) -> bool:
    """Whether the name is GitLab's own, so that a file's variable of that name goes before it."""
    return name == "CI" or name.startswith(("CI_", "GITLAB_"))


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with its variables filled in, nested ones too; an unknown one is empty, `$$` is a dollar sign.

    Raises CiError where variables go round in a circle or unfold without end.
    """
    return _Expansion(variables).text(text, ())


class _Expansion:
    """One expansion; every variable is unfolded once."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._known: dict[str, str] = {}

    def text(self, text: str, inside: tuple[str, ...]) -> str:
        """The text expanded; `inside` are the variables whose values it is part of."""
        expanded = VARIABLE.sub(lambda match: self._one(match, inside), text)
        if len(expanded) > MAX_LENGTH:
            raise CiError("a variable is longer than 64 KiB once it is expanded")
        return expanded

    def _one(self, match: re.Match[str], inside: tuple[str, ...]) -> str:
        if match.group() == "$$":
            return "$"
        name = match[1] or match[2] or match[3]
        if name not in self._variables:
            return match.group() if match[3] else ""
        if inside and name == inside[-1]:
            return ""
        if name in inside:
            circle = ", ".join(f'"{one}"' for one in inside)
            raise CiError(f"circular variable reference detected: [{circle}]")
        if name not in self._known:
            self._known[name] = self.text(self._variables[name], (*inside, name))
        return self._known[name]
