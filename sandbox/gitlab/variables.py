"""The variables of a project: which ones GitLab takes, and its words for those that it does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.gitlab.refusals import Invalid, Refused
from sandbox.gitlab.rest.asking import truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.gitlab.store import Row

KEY = re.compile(r"[a-zA-Z0-9_]{1,255}")
# What a trace can hide (Ci::Maskable): one line of at least eight characters that stand in no escape sequence.
MASKABLE = re.compile(r"[^\s]{8,}")
CHANGEABLE = ("value", "variable_type", "protected", "masked", "raw", "environment_scope", "description")


def checked(given: Mapping[str, Any], others: Sequence[Row]) -> Row:
    """The variable as it is stored; Refused or Invalid where GitLab does not take it."""
    key, value = str(given["key"]), str(given["value"])
    scope = str(given.get("environment_scope") or "*")
    kind = given.get("variable_type") or "env_var"
    hidden = truth(given.get("masked_and_hidden")) or bool(given.get("hidden"))
    masked = truth(given.get("masked")) or hidden
    if kind not in {"env_var", "file"}:
        raise Invalid("variable_type does not have a valid value")
    if not KEY.fullmatch(key):
        raise Refused({"key": ["can contain only letters, digits and '_'."]})
    if any((one["key"], one["environment_scope"]) == (key, scope) for one in others):
        raise Refused({"key": [f"({key}) has already been taken"]})
    if masked and not MASKABLE.fullmatch(value):
        raise Refused({"value": ["is invalid"]})
    row: Row = {"key": key, "value": value, "variable_type": kind, "environment_scope": scope}
    row |= {"protected": truth(given.get("protected")), "masked": masked, "hidden": hidden}
    return row | {"raw": truth(given.get("raw")), "description": given.get("description")}
