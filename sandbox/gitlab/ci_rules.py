"""`rules:` and `workflow:rules`: the expression language and which rule applies."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.gitlab.ci_yaml import CiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN = re.compile(
    r"""\s*(?:(?P<operator>==|!=|=~|!~|&&|\|\||\(|\))|(?P<variable>\$\w+|\$\{\w+\})|(?P<null>null\b)"""
    r"""|(?P<text>"[^"]*"|'[^']*')|(?P<pattern>/(?:\\.|[^/\\])+/[a-z]*))"""
)
VARIABLE = re.compile(r"\$\$|\$\{(\w+)\}|\$(\w+)")
EXPANSIONS = 10


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a job: whether it is in the pipeline, and what they change."""

    included: bool
    when: str | None = None
    allow_failure: bool | None = None
    variables: dict[str, str] = field(default_factory=dict)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Variables in a text, nested ones too; what is unknown becomes empty, `$$` a dollar sign."""
    for _ in range(EXPANSIONS):
        expanded = VARIABLE.sub(lambda m: _value(m, variables), text)
        if expanded == text:
            break
        text = expanded
    return text.replace("\0", "$")


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    return "\0" if match.group() == "$$" else variables.get(match.group(1) or match.group(2), "")


def judge(
    rules: Sequence[Mapping[str, Any]], variables: Mapping[str, str], files: Sequence[str], changed: Sequence[str]
) -> Verdict:
    """The first rule that matches; where none does, the job is not in the pipeline."""
    for rule in rules:
        if _matches(rule, variables, files, changed):
            when = str(rule["when"]) if "when" in rule else None
            allowed = rule.get("allow_failure")
            given = {str(key): str(value) for key, value in (rule.get("variables") or {}).items()}
            return Verdict(when != "never", when, None if allowed is None else bool(allowed), given)
    return Verdict(included=False)


def _matches(
    rule: Mapping[str, Any], variables: Mapping[str, str], files: Sequence[str], changed: Sequence[str]
) -> bool:
    if "if" in rule and not evaluate(str(rule["if"]), variables):
        return False
    for key, present in (("exists", files), ("changes", changed)):
        if key in rule:
            wanted = rule[key].get("paths", []) if isinstance(rule[key], dict) else rule[key]
            patterns = [expand(str(pattern), variables) for pattern in wanted]
            if not any(_glob(path, pattern) for path in present for pattern in patterns):
                return False
    return True


def _glob(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, pattern.replace("**/", ""))


def evaluate(expression: str, variables: Mapping[str, str]) -> bool:
    """Whether a `rules:if` expression holds; CiError where it is none."""
    try:
        parser = _Parser(_tokens(expression), variables)
        result = parser.either()
        if parser.rest:
            raise CiError(f"unexpected {parser.rest[0][1]}")
    except (CiError, IndexError, re.error, RecursionError) as error:
        raise CiError(f"invalid expression syntax: {expression[:100]}") from error
    return _true(result)


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    expression = expression.strip()
    while at < len(expression):
        match = TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise CiError(f"unexpected character at {at}")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return tokens


class _Parser:
    """Recursive descent: `||` over `&&` over comparisons over values."""

    def __init__(self, tokens: list[tuple[str, str]], variables: Mapping[str, str]) -> None:
        self.rest = tokens
        self._variables = variables

    def either(self) -> Any:
        left = self.both()
        while self._next("||"):
            right = self.both()
            left = _true(left) or _true(right)
        return left

    def both(self) -> Any:
        left = self._comparison()
        while self._next("&&"):
            right = self._comparison()
            left = _true(left) and _true(right)
        return left

    def _comparison(self) -> Any:
        left = self._operand()
        for operator, compare in _COMPARISONS.items():
            if self._next(operator):
                return compare(left, self._operand())
        return left

    def _operand(self) -> Any:
        if self._next("("):
            inner = self.either()
            if not self._next(")"):
                raise CiError("a parenthesis is not closed")
            return inner
        kind, text = self.rest.pop(0)
        if kind == "operator":
            raise CiError(f"unexpected {text}")
        if kind == "variable":
            return self._variables.get(text.strip("${}"))
        if kind == "null":
            return None
        return text[1:-1] if kind == "text" else _pattern(text)

    def _next(self, operator: str) -> bool:
        if self.rest and self.rest[0] == ("operator", operator):
            self.rest.pop(0)
            return True
        return False


def _pattern(text: str) -> re.Pattern[str]:
    body, _, flags = text[1:].rpartition("/")
    return re.compile(body, re.IGNORECASE if "i" in flags else 0)


def _search(left: Any, right: Any) -> bool:
    pattern = right if isinstance(right, re.Pattern) else _pattern(str(right)) if right else None
    return pattern is not None and pattern.search(left or "") is not None


_COMPARISONS: dict[str, Any] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "=~": _search,
    "!~": lambda left, right: not _search(left, right),
}


def _true(value: Any) -> bool:
    return value not in (None, "", False)
