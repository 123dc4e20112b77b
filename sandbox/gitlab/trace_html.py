"""A job's trace as HTML: the runner's sections fold, ANSI colours become classes, everything else is text; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from markupsafe import Markup, escape

MARKER = re.compile(r"section_(start|end):(\d+):([\w.-]+)(?:\[[^\]]*\])?\r(?:\x1b\[0K)?")
SGR = re.compile(r"\x1b\[([\d;]*)m")
OTHER_ESCAPES = re.compile(r"\x1b\[[\d;?]*[A-Za-ln-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]")
COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
BOLD, NOT_BOLD, DEFAULT = 1, 22, 39


@dataclass
class _Section:
    """An open section: when it began, its name, and what it holds so far."""

    name: str
    began: int
    parts: list[Markup] = field(default_factory=list)


def rendered(trace: str) -> Markup:
    """The whole trace; a section without an end stays open, as that of a job that runs."""
    stack = [_Section("", 0)]
    colours = _Colours()
    lines = trace.split("\n")
    if not OTHER_ESCAPES.sub("", SGR.sub("", lines[-1])):
        lines.pop()
    for line in lines:
        rest = line
        while (marker := MARKER.search(rest)) is not None:
            if before := rest[: marker.start()]:
                stack[-1].parts.append(colours.line(before))
            _marked(stack, marker)
            rest = rest[marker.end() :]
        if rest or MARKER.search(line) is None:
            stack[-1].parts.append(colours.line(rest))
    while len(stack) > 1:
        _close(stack, None)
    return Markup("").join(stack[0].parts)


def _marked(stack: list[_Section], marker: re.Match[str]) -> None:
    kind, at, name = marker.groups()
    if kind == "start":
        stack.append(_Section(name, int(at)))
    elif any(section.name == name for section in stack[1:]):
        while stack[-1].name != name:
            _close(stack, None)
        _close(stack, int(at))


def _close(stack: list[_Section], ended: int | None) -> None:
    """The innermost section becomes a part of the one around it; its first line is its title."""
    section = stack.pop()
    title, *lines = section.parts or [Markup("")]
    seconds = "" if ended is None else f"{(ended - section.began) // 60:02}:{(ended - section.began) % 60:02}"
    head = Markup("<summary>{}<span class=took>{}</span></summary>").format(title, seconds)
    stack[-1].parts.append(Markup("<details open>{}{}</details>").format(head, Markup("").join(lines)))


class _Colours:
    """The look that is in force, line by line."""

    def __init__(self) -> None:
        self._colour = ""
        self._bold = False

    def line(self, text: str) -> Markup:
        """One line; of one that was overwritten (carriage return) the last state counts."""
        shown = [part for part in text.rstrip("\r").split("\r") if OTHER_ESCAPES.sub("", part)]
        parts = SGR.split(shown[-1]) if shown else [""]
        spans = []
        for number, part in enumerate(parts):
            if number % 2:
                self._set(part)
            elif plain := OTHER_ESCAPES.sub("", part):
                spans.append(self._span(plain))
        return Markup("<span class=l>{}\n</span>").format(Markup("").join(spans))

    def _set(self, codes: str) -> None:
        for code in (int(one or 0) for one in codes.split(";")):
            if code in (0, DEFAULT):
                self._colour = ""
            if code in (0, NOT_BOLD):
                self._bold = False
            elif code == BOLD:
                self._bold = True
            elif code // 10 in (3, 9) and code % 10 < len(COLOURS):
                self._colour = COLOURS[code % 10]

    def _span(self, plain: str) -> Markup:
        names = " ".join([self._colour] * bool(self._colour) + ["bold"] * self._bold)
        return Markup('<span class="{}">{}</span>').format(names, plain) if names else escape(plain)
