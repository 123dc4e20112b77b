"""The words of a shell script: quotes, substitutions, heredocs, comments (POSIX, "Token Recognition")."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

# A script that goes deeper, or makes the reader look at it more often, is not judged.
DEPTH_LIMIT = 50
STEPS_PER_CHARACTER = 8

_PLAIN = re.compile(r"[^\s;&|()<>\"'`$\\#]+")
_BLANKS = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_ARRAY = re.compile(r"[A-Za-z_]\w*(?:\[[^\]\n]*\])?\+?=$")
_DOUBLE_PLAIN = re.compile(r"[^\"\\`$]+")
_ESCAPED = {end: re.compile(rf"{end}(?:[^{end}\\]|\\.)*{end}", re.DOTALL) for end in "'`"}


class BrokenError(Exception):
    """The script is wrong at this place (an index into its text)."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


class GivenUpError(Exception):
    """The script is not judged."""


class Words(ABC):
    """Reads words from the left; every method begins at `self.at` and leaves it behind what it has read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self._steps = STEPS_PER_CHARACTER * (len(text) + 100)
        self.heredocs: list[tuple[str, bool]] = []

    @abstractmethod
    def commands(self, closers: frozenset[str], opener: str, *, empty: bool = True) -> str:
        """Read commands up to one of the closing words, which is read too and returned; '' is the end of the text."""

    def deeper(self) -> None:
        """Count one level; GivenUpError where there are too many."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise GivenUpError

    def step(self, count: int = 1) -> None:
        """Count one look at the text; GivenUpError where there are too many."""
        self._steps -= count
        if self._steps < 0:
            raise GivenUpError

    def word(self) -> bool:
        """Read one word with its quotes and substitutions; whether there was one."""
        begun = self.at
        while self.at < len(self.text):
            self.step()
            plain = _PLAIN.match(self.text, self.at)
            if plain:
                self.at = plain.end()
                continue
            sign = self.text[self.at]
            if sign == "\\":
                self.at += 2
            elif sign in "\"'`$":
                self._quoted(sign)
            elif sign == "#" and self.at > begun:
                self.at += 1
            elif sign == "(" and self._belongs(begun):
                self._nested()
            elif sign in "<>" and self.text.startswith("(", self.at + 1):
                self.at += 2
                self.commands(frozenset(")"), f"{sign}(")
            else:
                break
        return self.at > begun

    def _belongs(self, begun: int) -> bool:
        """Whether a parenthesis here belongs to the word: an array, or an extended pattern."""
        word = self.text[begun : self.at]
        return bool(word) and (word[-1] in "?*+@!" or bool(_ARRAY.search(word)))

    def _nested(self) -> None:
        """Read a parenthesis of an array or a pattern, whatever stands in it."""
        begun = self.at
        self.deeper()
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != ")":
            if self.text[self.at] == "(":
                self._nested()
            elif self.text[self.at] == "#" and self.text[self.at - 1].isspace():
                self.comment()
            elif not self.word():
                self.at += 1
        if self.at >= len(self.text):
            raise BrokenError(begun, "'(' is not closed: ) is missing")
        self.depth -= 1
        self.at += 1

    def _quoted(self, sign: str) -> None:
        if sign == "'":
            self._until("'", self.at + 1)
        elif sign == '"':
            self._double()
        elif sign == "`":
            self._escaped("`")
        elif self.text.startswith("$'", self.at):
            self.at += 1
            self._escaped("'")
        else:
            self._substitution()

    def _until(self, end: str, start: int) -> None:
        found = self.text.find(end, start)
        if found < 0:
            raise BrokenError(self.at, f"the quote {end} is not closed")
        self.at = found + 1

    def _escaped(self, end: str) -> None:
        """Read up to a sign, those behind a backslash left out."""
        match = _ESCAPED[end].match(self.text, self.at)
        if not match:
            raise BrokenError(self.at, f"the quote {end} is not closed")
        self.at = match.end()

    def _double(self) -> None:
        begun = self.at
        self.at += 1
        while self.at < len(self.text):
            self.step()
            sign = self.text[self.at]
            if sign == '"':
                self.at += 1
                return
            if sign == "\\":
                self.at += 2
            elif sign == "`":
                self._escaped("`")
            elif sign == "$":
                self._substitution(quoted=True)
            else:
                plain = _DOUBLE_PLAIN.match(self.text, self.at)
                self.at = plain.end() if plain else self.at + 1
        raise BrokenError(begun, 'the quote " is not closed')

    def _substitution(self, *, quoted: bool = False) -> None:
        """Read `$…`: a command, arithmetic, a parameter; a lone dollar sign is one as well."""
        if self.text.startswith("$$", self.at):
            self.at += 2
            return
        if self.text.startswith("$((", self.at) and self.arithmetic(3):
            return
        if self.text.startswith("$(", self.at):
            self.at += 2
            self.commands(frozenset(")"), "$(")
        elif self.text.startswith("${", self.at):
            self._parameter(quoted=quoted)
        elif self.text.startswith('$"', self.at) and not quoted:
            self.at += 1
            self._double()
        else:
            self.at += 1

    def _parameter(self, *, quoted: bool) -> None:
        begun = self.at
        self.deeper()
        self.at += 2
        while self.at < len(self.text):
            self.step()
            sign = self.text[self.at]
            if sign == "}":
                self.at += 1
                self.depth -= 1
                return
            if sign == "\\":
                self.at += 2
            elif sign in '"`$' or (sign == "'" and not quoted):
                self._substitution(quoted=quoted) if sign == "$" else self._quoted(sign)
            else:
                self.at += 1
        raise BrokenError(begun, "'${' is not closed: } is missing")

    def arithmetic(self, opening: int) -> bool:
        """Whether what begins here is arithmetic, closed by two parentheses; it is read then."""
        depth, place = 2, self.at + opening
        while depth and place < len(self.text):
            self.step()
            sign = self.text[place]
            depth += {"(": 1, ")": -1}.get(sign, 0)
            if sign == ")" and depth == 1 and not self.text.startswith("))", place):
                return False
            place += 2 if sign == "\\" else 1
        if depth:
            return False
        self.at = place
        return True

    def space(self) -> None:
        """Read blanks, comments and line ends, with the heredocs that begin behind one."""
        while self.at < len(self.text):
            self.blanks()
            if self.text.startswith("#", self.at):
                self.comment()
            elif self.text.startswith("\n", self.at):
                self.at += 1
                self._bodies()
            else:
                return

    def blanks(self) -> None:
        """Read blanks and joined line ends."""
        match = _BLANKS.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def comment(self) -> None:
        """Read a comment up to the end of its line."""
        match = _COMMENT.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _bodies(self) -> None:
        """Read the bodies of the heredocs that the line before has opened; an unclosed one runs to the end."""
        for end, tabs in self.heredocs:
            while self.at < len(self.text):
                found = self.text.find("\n", self.at)
                line = self.text[self.at : found if found >= 0 else len(self.text)]
                self.step()
                self.at = min(self.at + len(line) + 1, len(self.text))
                if (line.lstrip("\t") if tabs else line).rstrip("\r") == end:
                    break
        self.heredocs.clear()
