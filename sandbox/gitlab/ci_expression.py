"""The expression language of `rules:if`: variables, strings, patterns, null, comparisons, `&&`, `||`, parentheses.

Grammar and limits are those of GitLab's lexer: at most 100 tokens, variables only as `$NAME`, patterns in RE2 syntax.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.gitlab.ci_yaml import CiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Value = str | bool | None | re.Pattern[str]
    Node = Callable[[Mapping[str, str]], Value]

MAX_TOKENS = 100
TOKEN = re.compile(
    r"""(?P<operator>==|!=|=~|!~|&&|\|\||\(|\))|\$(?P<variable>\w+)|(?P<text>"[^"]*"|'[^']*')"""
    r"""|(?P<pattern>/(?:\\.|[^/\\\n])+/[ismU]*)|(?P<word>null|true|false)\b"""
)
NOT_RE2 = re.compile(r"\(\?(?:[=!>]|<[=!]|\(|P=)|\\[1-9]|(?<!\\)(?:[*+?]|\})\+")
CLASSES = {
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:alnum:]": "a-zA-Z0-9",
    "[:upper:]": "A-Z",
    "[:lower:]": "a-z",
    "[:space:]": r"\s",
    "[:word:]": r"\w",
    "[:xdigit:]": "0-9A-Fa-f",
}
SYNTAX = "invalid expression syntax"


@dataclass(frozen=True)
class Token:
    """One word of an expression."""

    kind: str
    text: str


def evaluate(expression: str, variables: Mapping[str, str]) -> bool:
    """Whether the expression holds; one that cannot be evaluated does not. Raises CiError where it is none."""
    tree = parse(expression)
    try:
        return _true(tree(variables))
    except re.error:
        return False


def parse(expression: object) -> Node:
    """The expression, ready to be evaluated. Raises CiError where it is none."""
    if not isinstance(expression, str):
        raise CiError(SYNTAX)
    try:
        parser = _Parser(_tokens(expression))
        tree = parser.either()
    except (RecursionError, IndexError, re.error) as error:
        raise CiError(SYNTAX) from error
    if parser.rest:
        raise CiError(SYNTAX)
    return tree


def _tokens(expression: str) -> list[Token]:
    tokens: list[Token] = []
    rest = expression.strip()
    while rest:
        match = TOKEN.match(rest)
        if match is None or match.lastgroup is None or len(tokens) >= MAX_TOKENS:
            raise CiError(SYNTAX)
        tokens.append(Token(match.lastgroup, match[match.lastgroup]))
        rest = rest[match.end() :].lstrip()
    return tokens


class _Parser:
    """Recursive descent: `||` over `&&` over comparisons over values."""

    def __init__(self, tokens: list[Token]) -> None:
        self.rest = tokens

    def either(self) -> Node:
        left = self._both()
        while self._next("||"):
            left = _or(left, self._both())
        return left

    def _both(self) -> Node:
        left = self._comparison()
        while self._next("&&"):
            left = _and(left, self._comparison())
        return left

    def _comparison(self) -> Node:
        left = self._operand()
        while self.rest and self.rest[0].text in COMPARISONS and self.rest[0].kind == "operator":
            left = _compared(COMPARISONS[self.rest.pop(0).text], left, self._operand())
        return left

    def _operand(self) -> Node:
        if self._next("("):
            inner = self.either()
            if not self._next(")"):
                raise CiError(SYNTAX)
            return inner
        token = self.rest.pop(0)
        if token.kind == "operator":
            raise CiError(SYNTAX)
        if token.kind == "variable":
            return lambda variables: variables.get(token.text)
        constant = _constant(token)
        return lambda _variables: constant

    def _next(self, operator: str) -> bool:
        if self.rest and self.rest[0] == Token("operator", operator):
            self.rest.pop(0)
            return True
        return False


def _constant(token: Token) -> Value:
    if token.kind == "text":
        return token.text[1:-1]
    if token.kind == "pattern":
        return pattern(token.text)
    return {"null": None, "true": "true", "false": "false"}[token.text]


def pattern(text: str) -> re.Pattern[str]:
    """`/…/flags` as a pattern. Raises re.error where it is none, or where RE2 does not know its syntax."""
    if len(text) < 3 or text[0] != "/" or "/" not in text[1:]:  # noqa: PLR2004 - two slashes and something between
        raise re.error("not a pattern")
    body, _, letters = text[1:].rpartition("/")
    if NOT_RE2.search(body):
        raise re.error("not RE2 syntax")
    flags = (re.IGNORECASE if "i" in letters else 0) | (re.DOTALL if "s" in letters else 0)
    body = body.replace(r"\/", "/")
    for name, characters in CLASSES.items():
        body = body.replace(name, characters)
    with warnings.catch_warnings():  # of set operations, which RE2 does not have either
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(body, flags | (re.MULTILINE if "m" in letters else 0))


def _or(left: Node, right: Node) -> Node:
    return lambda variables: _true(left(variables)) or _true(right(variables))


def _and(left: Node, right: Node) -> Node:
    return lambda variables: _true(left(variables)) and _true(right(variables))


def _compared(compare: Callable[[Value, Value], bool], left: Node, right: Node) -> Node:
    return lambda variables: compare(left(variables), right(variables))


def _search(left: Value, right: Value) -> bool:
    if right is None:
        return False
    wanted = right if isinstance(right, re.Pattern) else pattern(str(right))
    return wanted.search("" if left is None else str(left)) is not None


def _true(value: Value) -> bool:
    """Ruby's `present?`: neither nothing nor blank."""
    return bool(value.strip()) if isinstance(value, str) else value not in (None, False)


COMPARISONS: dict[str, Callable[[Value, Value], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "=~": _search,
    "!~": lambda left, right: not _search(left, right),
}
