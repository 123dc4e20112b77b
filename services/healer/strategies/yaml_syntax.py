"""yaml_syntax: mends what can only have been meant in one way.

It may change indentation, quoting, a key that stands twice, and a misspelt key or job name, each so that the checker
has nothing left to say; where two ways are possible it leaves the file alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.strategies.fix import Fix
from shared.ci.document import Document, parse
from shared.ci.lint import check_document, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.ci.finding import Finding
    from shared.events import Files

ROUNDS = 8
_KEY = re.compile(r"^(\s*)([\w.-]+|\"[^\"]*\"|'[^']*'):(?=\s|$)")
_ITEM = re.compile(r"^(\s*-\s+)(?![\"'\[{|>&*!])(.*:\s.*|.*\s#.*|[@`%].*)$")
_LONE_EQUALS = re.compile(r"(?<![=!<>~])=(?![=~])")


def repair(files: Files) -> Fix | None:
    """The pipeline file with its mistakes mended one by one; None unless it is then free of errors."""
    text, said = files.pipeline, list[str]()
    for _ in range(ROUNDS):
        step = _step(text)
        if step is None:
            break
        text, what = step
        said.append(what)
    if not said or errors(check_document(parse(text))):
        return None
    return Fix("correct the YAML", "; ".join(said), files.model_copy(update={"pipeline": text}))


def _step(text: str) -> tuple[str, str] | None:
    """One mended mistake with its sentence, or None where nothing is wrong or nothing is certain."""
    document = parse(text)
    wrong = errors(check_document(document))
    if not wrong:
        return None
    for mend in _MENDS:
        mended = mend(document, wrong[0])
        if mended and mended[0] != text and _better(wrong, mended[0]):
            return mended
    return None


def _better(before: tuple[Finding, ...], text: str) -> bool:
    """Whether the mistake is gone: a file that can be read at last may show others, one that could must show fewer."""
    after = errors(check_document(parse(text)))
    if before[0].rule == "yaml-syntax":
        return not any(finding.rule.startswith("yaml-") and finding.rule != "yaml-duplicate-key" for finding in after)
    return len(after) < len(before)


Mended = tuple[str, str] | None


def _tabs(document: Document, finding: Finding) -> Mended:
    if finding.rule != "yaml-syntax" or "\t" not in document.text:
        return None
    spaced = "".join(_untabbed(line) for line in document.text.splitlines(keepends=True))
    return spaced, "tabs before keys are spaces"


def _untabbed(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return indent.replace("\t", "  ") + line.lstrip() if line.strip() else line


def _quotes(document: Document, finding: Finding) -> Mended:
    """Close the one quote that is not closed: a single line whose closing makes the file readable."""
    if finding.rule != "yaml-syntax":
        return None
    closed = list(_closed(document.text.splitlines(keepends=True)))
    return closed[0] if len(closed) == 1 else None


def _closed(lines: list[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines):
        for quote in ('"', "'"):
            if line.count(quote) % 2 and re.search(rf"(?:[:\-,]\s+|\[){quote}", line):
                mended = [*lines[:number], f"{line.rstrip()}{quote}\n", *lines[number + 1 :]]
                text = "".join(mended)
                if parse(text).readable:
                    yield text, f"line {number + 1}: the quote is closed"


def _colon(document: Document, finding: Finding) -> Mended:
    """Quote the command in which a colon made YAML see a mapping: the line of the finding or the one before."""
    lines = document.text.splitlines(keepends=True)
    for number in (finding.line - 1, finding.line - 2):
        match = _ITEM.match(lines[number].rstrip("\n")) if 0 <= number < len(lines) else None
        if match and _in_script(lines, number):
            quoted = "'" + match[2].rstrip().replace("'", "''") + "'"
            mended = [*lines[:number], f"{match[1]}{quoted}\n", *lines[number + 1 :]]
            return "".join(mended), f"line {number + 1}: the command is quoted because it holds a colon"
    return None


def _in_script(lines: list[str], number: int) -> bool:
    """Whether the item on this line belongs to a script: the key above its list says so."""
    for line in reversed(lines[:number]):
        key = _KEY.match(line)
        if key:
            return key[2].endswith("script")
    return False


def _duplicate(document: Document, finding: Finding) -> Mended:
    """Take the first of two equal keys away: GitLab drops it as well, so the meaning stays."""
    if finding.rule != "yaml-duplicate-key":
        return None
    lines = document.text.splitlines(keepends=True)
    second = _KEY.match(lines[finding.line - 1])
    if not second:
        return None
    for number in range(finding.line - 2, -1, -1):
        key = _KEY.match(lines[number])
        if key and key.group(1, 2) == second.group(1, 2):
            end = _end_of_entry(lines, number, len(second[1]))
            same = [line.strip() for line in lines[number:end]]
            last = _end_of_entry(lines, finding.line - 1, len(second[1]))
            if same != [line.strip() for line in lines[finding.line - 1 : last]]:
                return None
            return "".join([*lines[:number], *lines[end:]]), f"line {number + 1}: {key[2]} stood twice"
        if key and len(key[1]) < len(second[1]):
            return None
    return None


def _end_of_entry(lines: list[str], start: int, indent: int) -> int:
    """The number of the line after a key's entry: the first that is not deeper, items beside their key counted in."""
    end = start + 1
    while end < len(lines):
        line = lines[end]
        depth = len(line) - len(line.lstrip())
        if line.strip() and (depth < indent or (depth == indent and not line.lstrip().startswith("- "))):
            break
        end += 1
    return end if any(line.strip() for line in lines[start + 1 : end]) else start + 1


def _misspelt(document: Document, finding: Finding) -> Mended:
    """Write the one word that the checker proposes at the place of the finding."""
    if finding.rule not in ("schema", "unknown-need") or not finding.fix:
        return None
    lines = document.text.splitlines(keepends=True)
    line, start = lines[finding.line - 1], finding.column - 1
    wrong = re.match(r"(?:job:\s*)?[\"']?([\w.-]+)", line[start:])
    if not wrong:
        return None
    lines[finding.line - 1] = line[: start + wrong.start(1)] + finding.fix + line[start + wrong.end(1) :]
    return "".join(lines), f"line {finding.line}: {finding.fix} instead of {wrong[1]}"


def _equals(document: Document, finding: Finding) -> Mended:
    """Double the lone equals sign of a rules:if."""
    if finding.rule != "rules-if":
        return None
    lines = document.text.splitlines(keepends=True)
    lines[finding.line - 1] = _LONE_EQUALS.sub("==", lines[finding.line - 1], count=1)
    return "".join(lines), f"line {finding.line}: == instead of ="


_MENDS: tuple[Callable[[Document, Finding], Mended], ...] = (
    _tabs,
    _duplicate,
    _misspelt,
    _equals,
    _colon,
    _quotes,
)
