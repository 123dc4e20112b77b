"""Whether a `rules:if` expression parses, by GitLab's grammar (CI/CD job rules, "CI/CD variable expressions")."""

from __future__ import annotations

import re

# A variable, a quoted text, null, a pattern between slashes, an operator, a parenthesis.
_TOKEN = re.compile(
    r"""\s*(?:(?P<operand>\$\w+|"[^"]*"|'[^']*'|null\b)|(?P<pattern>/(?:[^/\\\n]|\\.)+/[ismU]*)"""
    r"""|(?P<match>=~|!~)|(?P<compare>==|!=)|(?P<logic>&&|\|\|)|(?P<open>\()|(?P<close>\)))\s*""",
    re.ASCII,
)
# What may follow what: the state machine of an expression without its nesting.
_AFTER_OPERAND = frozenset({"match", "compare", "logic", "close", "end"})
_BEFORE_OPERAND = frozenset({"operand", "pattern", "open"})
_FOLLOWS = {
    "start": _BEFORE_OPERAND,
    "operand": _AFTER_OPERAND,
    "pattern": _AFTER_OPERAND,
    "close": _AFTER_OPERAND,
    "open": _BEFORE_OPERAND,
    "match": _BEFORE_OPERAND,
    "compare": _BEFORE_OPERAND,
    "logic": _BEFORE_OPERAND,
}


def objection(expression: str) -> str:
    """Why GitLab would refuse the expression, or nothing."""
    before, depth, position = "start", 0, 0
    while position < len(expression):
        token = _TOKEN.match(expression, position)
        if not token or token.lastgroup is None:
            return f"cannot be read at {_near(expression, position)}"
        kind = token.lastgroup
        wrong = _misplaced(token, kind, before)
        if wrong:
            return wrong
        depth += {"open": 1, "close": -1}.get(kind, 0)
        if depth < 0:
            return "')' closes nothing"
        before, position = kind, token.end()
    if "end" not in _FOLLOWS[before]:
        return "is not complete" if expression.strip() else "is empty"
    return "'(' is not closed" if depth else ""


def _misplaced(token: re.Match[str], kind: str, before: str) -> str:
    """Why this token cannot follow one of kind `before`, or nothing."""
    if kind not in _FOLLOWS[before]:
        return f"{token[0].strip()!r} cannot stand there"
    if before == "compare" and kind == "pattern":
        return f"the pattern {token[0].strip()} needs =~ or !~ before it"
    if before == "match" and kind == "operand" and not token["operand"].startswith(("$", '"/', "'/")):
        return f"after =~ comes a pattern between slashes, not {token['operand']}"
    return ""


def _near(expression: str, position: int) -> str:
    rest = expression[position : position + 20].strip()
    hint = " (a single '=' or '&' is none)" if rest[:1] in ("=", "&", "|") else ""
    hint = " (variables are written $NAME here)" if rest.startswith("${") else hint
    return f"{rest!r}{hint}"
