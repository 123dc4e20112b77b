"""Which versions a requirement allows, in the notations of the package managers."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A part that a tag does not say is the newest there is: the tag 3.12 is its last patch release.
NEWEST = 9_999

_COMPARATOR = re.compile(
    r"(?P<sign>\^|~>|~=|>=|<=|!=|===|==|~|>|<|=)?\s*[vV]?(?P<version>\d{1,6}(?:\.(?:\d{1,6}|[xX*])){0,3})"
    r"(?:[-+.]?[a-zA-Z][\w.+-]{0,30})?(?P<more>\+| or (?:later|newer|higher|above))?"
)
_MAVEN = re.compile(r"(?P<open>[\[(])(?P<low>[\d.]*),(?P<high>[\d.]*)(?P<close>[\])])")

Version = tuple[int, ...]


@dataclass(frozen=True)
class Bound:
    """One side of a range: `sign` is one of >= > < <= == !=; `version` has as many parts as were written."""

    sign: str
    version: Version

    def allows(self, version: Version) -> bool:
        """Whether a version is on the right side."""
        same = _padded(version, len(self.version))[: len(self.version)] == self.version
        if self.sign in ("==", "!="):
            return same == (self.sign == "==")
        found, limit = _padded(version, 4, NEWEST), _padded(self.version, 4)
        if self.sign == "<=":
            return same or found < limit
        return {">=": found >= limit, ">": found > limit and not same, "<": found < limit}[self.sign]


Requirement = tuple[tuple[Bound, ...], ...]


def requirement(text: str) -> Requirement:
    """The alternatives of a requirement (`>=3.12,<4`, `^18 || >=20`, `[17,)`, `3.2.2`); empty where it is none."""
    found = []
    for part in re.split(r"\|\||\bor (?=[\d^~>=<v])", text.replace("&gt;", ">")):
        maven = _MAVEN.search(part)
        bounds = tuple(_of_maven(maven)) if maven else tuple(b for c in _COMPARATOR.finditer(part) for b in _bounds(c))
        if bounds:
            found.append(bounds)
    return tuple(found)


def satisfies(version: Version, wanted: Requirement) -> bool:
    """Whether one of the alternatives allows the version; parts that it does not say are the newest."""
    return any(all(bound.allows(version) for bound in bounds) for bounds in wanted)


def numbers(text: str) -> Version:
    """The parts of a dotted version."""
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _bounds(found: re.Match[str]) -> list[Bound]:
    sign, version = found["sign"] or "==", numbers(found["version"])
    if found["more"]:
        return [Bound(">=", version)]
    if sign == "^":
        kept = next((at for at, part in enumerate(version) if part), len(version) - 1) + 1
        return [Bound(">=", version), Bound("<", _next(version[:kept]))]
    if sign in ("~>", "~="):
        return [Bound(">=", version), Bound("<", _next(version[:-1] or version))]
    if sign == "~":
        return [Bound(">=", version), Bound("<", _next(version[:2]))]
    return [Bound("==" if sign in ("=", "===") else sign, version)]


def _of_maven(found: re.Match[str]) -> list[Bound]:
    """The bounds of Maven's `[17,)` and `[1.8,12]`."""
    bounds = []
    if found["low"]:
        bounds.append(Bound(">=" if found["open"] == "[" else ">", _java(numbers(found["low"]))))
    if found["high"]:
        bounds.append(Bound("<=" if found["close"] == "]" else "<", _java(numbers(found["high"]))))
    return bounds


def _java(version: Version) -> Version:
    """Java called 8 by the name of 1.8."""
    return version[1:] if version[:1] == (1,) and len(version) > 1 else version


def _next(version: Version) -> Version:
    return (*version[:-1], version[-1] + 1)


def _padded(version: Version, length: int, filler: int = 0) -> Version:
    return version + (filler,) * (length - len(version))
