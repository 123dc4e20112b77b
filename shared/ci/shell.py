"""Whether a shell script parses: POSIX sh and bash, as far as a mistake is certain.

A small recursive reader of the shell's grammar (POSIX, "Shell Command Language"; the Bash manual). It says nothing
where it is not sure: `bash -n` is the judge that the tests hold it against.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.ci.shell_words import BrokenError, GivenUpError, Words

_SEPARATOR = re.compile(r";;&|;;|;&|&&|\|\||\|&|[;&|]")
_KEYWORD = re.compile(
    r"(?:if|then|elif|else|fi|for|while|until|select|do|done|case|esac|function|time|coproc|in|[!{}])(?![^\s;&|()<>])"
)
_REDIRECTION = re.compile(r"(?:\d+|&|\{\w+\})?(?:<<<|<<-?|<>|<&|>>|>&|>\||&>>?|[<>])")
_NO_OPENER = {
    "then": "if",
    "elif": "if",
    "else": "if",
    "fi": "if",
    "do": "for or while",
    "done": "for or while",
    "esac": "case",
    "}": "{",
}
_TEST = re.compile(r"\[\[\s")
_TEST_END = re.compile(r"\]\](?=[\s;&|)]|$)")
_PARENTHESIS = re.compile(r"[ \t]*\(")
_PARENTHESES = re.compile(r"[ \t]*\([ \t]*\)\s*")
_CASE_ENDS = frozenset({";;", ";&", ";;&"})


class Objection(NamedTuple):
    """What is wrong, in words, and the line of the script (from 0) where the wrong thing is or began."""

    line: int
    message: str


def objection(script: str) -> Objection | None:
    """Why no POSIX shell and no bash would read this script; None where nothing is certainly wrong."""
    reader = _Reader(script)
    try:
        reader.commands(frozenset(), "")
    except BrokenError as broken:
        return Objection(script.count("\n", 0, broken.place), str(broken))
    except (GivenUpError, RecursionError):
        return None
    return None


class _Reader(Words):
    """Reads commands, simple and compound."""

    def commands(self, closers: frozenset[str], opener: str, *, empty: bool = True) -> str:
        """Read commands up to one of the closing words, which is read too and returned; '' is the end of the text."""
        begun, found = self.at, 0
        self.deeper()
        while True:
            self.space()
            word = self._closer(closers, begun, opener)
            if word is not None:
                if not (empty or found):
                    raise BrokenError(begun, f"nothing stands between {opener!r} and {word!r}")
                self.depth -= 1
                return word
            self._command()
            found += 1
            self._separated()

    def _closer(self, closers: frozenset[str], begun: int, opener: str) -> str | None:
        """The closing word that stands here, read; None where a command begins."""
        if self.at >= len(self.text):
            if closers:
                wanted = " or ".join(sorted(closers - {";;", ";&", ";;&", "elif", "else"}))
                raise BrokenError(max(begun - 1, 0), f"{opener!r} is not closed: {wanted} is missing")
            return ""
        sign = _SEPARATOR.match(self.text, self.at)
        keyword = _KEYWORD.match(self.text, self.at)
        word = sign[0] if sign else ")" if self.text[self.at] == ")" else keyword[0] if keyword else ""
        if word in closers:
            self.at += len(word)
            return word
        if sign or word == ")":
            raise BrokenError(self.at, f"{word!r} stands where a command begins")
        if word in _NO_OPENER:
            inside = f" within {opener!r}" if opener else ""
            raise BrokenError(self.at, f"{word!r} without its {_NO_OPENER[word]!r}{inside}")
        return None

    def _separated(self) -> None:
        """Read what stands between two commands; after an operator another command has to come."""
        self.blanks()
        sign = _SEPARATOR.match(self.text, self.at)
        if not sign or sign[0] in _CASE_ENDS:
            return
        self.at = sign.end()
        if sign[0] in (";", "&"):
            return
        self.space()
        if self.at >= len(self.text):
            raise BrokenError(sign.start(), f"nothing follows {sign[0]!r}")

    def _command(self) -> None:
        """Read one command, simple or compound, with its redirections."""
        self.step()
        keyword = _KEYWORD.match(self.text, self.at)
        if self.text.startswith("((", self.at) and self.arithmetic(2):
            self._redirections()
        elif self.text[self.at] == "(":
            self.at += 1
            self.commands(frozenset(")"), "(", empty=False)
            self._redirections()
        elif _TEST.match(self.text, self.at):
            self._test()
            self._redirections()
        elif keyword and keyword[0] != "in":
            self.at = keyword.end()
            self._compound(keyword[0])
        else:
            self._words(first=True)

    def _compound(self, word: str) -> None:
        if word == "coproc":
            # What follows may be a name and then a command: only bash tells.
            raise GivenUpError
        if word in ("!", "time"):
            self.blanks()
            if self.at < len(self.text) and self.text[self.at] not in "\n;)":
                self._command()
            return
        if word == "function":
            self.blanks()
            self.word()
            self._parentheses()
            return
        readers = {"if": self._if, "case": self._case, "{": self._group, "for": self._for, "select": self._for}
        readers.get(word, self._while)(word)
        self._redirections()

    def _if(self, word: str) -> None:
        self.commands(frozenset({"then"}), word, empty=False)
        ends = frozenset({"elif", "else", "fi"})
        while True:
            end = self.commands(ends, "then" if len(ends) > 1 else "else", empty=False)
            if end == "fi":
                return
            if end == "elif":
                self.commands(frozenset({"then"}), "elif", empty=False)
            else:
                ends = frozenset({"fi"})

    def _while(self, word: str) -> None:
        self.commands(frozenset({"do"}), word, empty=False)
        self.commands(frozenset({"done"}), "do", empty=False)

    def _group(self, word: str) -> None:
        self.commands(frozenset({"}"}), word, empty=False)

    def _for(self, word: str) -> None:
        begun = self.at
        self.blanks()
        if not (self.text.startswith("((", self.at) and self.arithmetic(2)):
            while self.at < len(self.text) and self.text[self.at] not in "\n;":
                self.blanks()
                keyword = _KEYWORD.match(self.text, self.at)
                if keyword and keyword[0] == "do" and self.at > begun + 1 and " in " not in self.text[begun : self.at]:
                    break
                if not self.word():
                    break
                self.blanks()
        self.space()
        if self.text.startswith(";", self.at) and not self.text.startswith(";;", self.at):
            self.at += 1
            self.space()
        keyword = _KEYWORD.match(self.text, self.at)
        if not keyword or keyword[0] not in ("do", "{", "in"):
            raise BrokenError(max(begun - 1, 0), f"{word!r} is not followed by 'do'")
        if keyword[0] == "in":
            raise GivenUpError
        self.at = keyword.end()
        self.commands(frozenset({"done" if keyword[0] == "do" else "}"}), keyword[0], empty=False)

    def _case(self, word: str) -> None:
        begun = self.at
        self.blanks()
        self.word()
        self.space()
        keyword = _KEYWORD.match(self.text, self.at)
        if not keyword or keyword[0] != "in":
            raise BrokenError(max(begun - 1, 0), f"{word!r} is not followed by 'in'")
        self.at = keyword.end()
        while True:
            self.space()
            keyword = _KEYWORD.match(self.text, self.at)
            if keyword and keyword[0] == "esac":
                self.at = keyword.end()
                return
            self._pattern(begun)
            if self.commands(_CASE_ENDS | {"esac"}, "case") == "esac":
                return

    def _pattern(self, begun: int) -> None:
        """Read one pattern of a case with its parenthesis."""
        if self.text.startswith("(", self.at):
            self.at += 1
        while True:
            self.space()
            if self.at >= len(self.text):
                raise BrokenError(max(begun - 1, 0), "'case' is not closed: esac is missing")
            if self.text[self.at] == ")":
                self.at += 1
                return
            if self.text[self.at] == "|":
                self.at += 1
            elif not self.word():
                raise BrokenError(self.at, f"{self.text[self.at]!r} cannot stand in a pattern of 'case'")

    def _redirections(self) -> None:
        """Read the redirections behind a compound command; a closing word may follow at once (`{ a; } done`)."""
        self.blanks()
        while self._redirected():
            self.blanks()

    def _words(self, *, first: bool = False) -> None:
        """Read the words and redirections up to the end of the command."""
        while True:
            self.blanks()
            if self.at >= len(self.text) or self.text[self.at] in "\n;)" or self._is_operator():
                return
            if self.text[self.at] == "#":
                self.comment()
                return
            if self._redirected():
                continue
            if self.text[self.at] == "(":
                self._parenthesis(first=first)
                if first:
                    return
                continue
            self.word()
            first = first and self._parentheses_follow()

    def _is_operator(self) -> bool:
        sign = _SEPARATOR.match(self.text, self.at)
        return bool(sign) and not self.text.startswith("&>", self.at)

    def _parentheses_follow(self) -> bool:
        return bool(_PARENTHESIS.match(self.text, self.at))

    def _parenthesis(self, *, first: bool) -> None:
        """Read the parentheses of a function's definition; others cannot stand behind a word."""
        if not first:
            raise BrokenError(self.at, "'(' cannot stand behind a word; quote it where it is meant as it is")
        place = self.at
        self._parentheses()
        if self.at == place:
            raise BrokenError(self.at, "'(' cannot stand behind a word; quote it where it is meant as it is")

    def _parentheses(self) -> None:
        """Read `()` and the line ends behind it, where they stand here: the body of a function follows."""
        match = _PARENTHESES.match(self.text, self.at)
        if match:
            self.at = match.end()
        else:
            self.space()
        if match and self.at < len(self.text):
            self._command()

    def _redirected(self) -> bool:
        match = _REDIRECTION.match(self.text, self.at)
        if not match or self.text.startswith(("<(", ">("), match.end() - 1):
            return False
        self.at = match.end()
        self.blanks()
        begun = self.at
        self.word()
        if match[0].endswith(("<<", "<<-")) and not match[0].endswith("<<<"):
            self.heredocs.append((re.sub(r"[\"'\\]", "", self.text[begun : self.at]), match[0].endswith("-")))
        if self.at == begun:
            raise BrokenError(match.start(), f"nothing follows {match[0]!r}")
        return True

    def _test(self) -> None:
        """Read `[[ … ]]`."""
        begun = self.at
        self.at += 2
        while self.at < len(self.text):
            self.space()
            if _TEST_END.match(self.text, self.at):
                self.at += 2
                return
            if not self.word():
                self.at += 1
        raise BrokenError(begun, "'[[' is not closed: ]] is missing")
