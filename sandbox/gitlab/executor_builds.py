"""The commands of a script that build an image: with which builder, from which Dockerfile, with which arguments."""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.gitlab.executor_dockerfile import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BUILDERS = (
    ("kaniko", re.compile(r"(?:^|/)kaniko/executor$"), ()),
    ("buildkit", re.compile(r"(?:^|/)buildctl(?:-daemonless\.sh)?$"), ("build",)),
    ("buildah", re.compile(r"(?:^|/)(?:buildah|podman)$"), ("bud", "build", "build-using-dockerfile")),
    ("docker", re.compile(r"(?:^|/)docker$"), ("build",)),
)
BETWEEN = frozenset({"buildx", "image", "builder"})
# A program's own options stand before its verb (`buildah --storage-driver vfs bud`), another verb ends the search.
OTHER_VERBS = frozenset(
    ["commit", "compose", "exec", "from", "info", "inspect", "login", "manifest", "pull", "push", "run", "save", "tag"]
)
OPTIONS_BEFORE = 8
ASSIGNMENT = re.compile(
    r"(?:^|;|&&)\s*(?:export\s+|local\s+|readonly\s+)?([A-Za-z_]\w*)="
    r"(\$\([^)]*\)|`[^`]*`|\"[^\"]*\"|'[^']*'|[^\s;&]*)\s*(?=;|&&|$)"
)
SHELL_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")
FILE_OPTIONS = ("-f", "--file", "--dockerfile")
WITH_VALUE = frozenset(
    ["-t", "--tag", "--target", "--platform", "--network", "--secret", "--cache-from", "--cache-to", "--output", "-o"]
)


@dataclass(frozen=True)
class Build:
    """One build; `arguments` are its build arguments."""

    builder: str
    dockerfile: str
    arguments: dict[str, str] = field(default_factory=dict)


def builds(script: Sequence[str], variables: Mapping[str, str]) -> list[Build]:
    """The builds of a script in order; a script that writes the Dockerfile itself has none that can be looked at."""
    text = "\n".join(script).replace("\\\n", " ")
    if re.search(r">\s*\S*Dockerfile\b", text):
        return []
    values = dict(variables)
    found: list[Build] = []
    for line in text.splitlines():
        for assigned in ASSIGNMENT.finditer(line):
            dynamic = "`" in assigned[2] or "$(" in assigned[2]
            values[assigned[1]] = UNKNOWN if dynamic else _filled(assigned[2].strip("\"'"), values)
        found += [build for words in _commands(line) if (build := _build(words, values))]
    return found


def _commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set(";&|()"):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:
        return
    yield words


def _build(words: list[str], values: Mapping[str, str]) -> Build | None:
    for builder, program, verbs in BUILDERS:
        for at, word in enumerate(words):
            if program.search(word):
                rest = [one for one in words[at + 1 :] if one not in BETWEEN]
                if not verbs:
                    return _options(builder, rest, values)
                start = next((i for i, one in enumerate(rest[:OPTIONS_BEFORE]) if one in (*verbs, *OTHER_VERBS)), None)
                if start is not None and rest[start] in verbs:
                    return _options(builder, rest[start + 1 :], values)
    return None


def _options(builder: str, words: list[str], values: Mapping[str, str]) -> Build:
    dockerfile, folder = "", ""
    arguments: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in ("--build-arg", "--opt", *FILE_OPTIONS, *WITH_VALUE, "--context", "-c"):
            value = value if equals else next(rest, "")
        if option == "--build-arg":
            arguments |= _argument(value, values)
        elif option == "--opt" and value.startswith("build-arg:"):
            arguments |= _argument(value.removeprefix("build-arg:"), values)
        elif option == "--opt" and value.startswith("filename="):
            dockerfile = value.partition("=")[2]
        elif option in FILE_OPTIONS:
            dockerfile = value
        elif not option.startswith("-") and builder in {"docker", "buildah"}:
            folder = word
    path = _filled(dockerfile or posixpath.join(folder, "Dockerfile"), values)
    return Build(builder, _inside(path, values), arguments)


def _argument(given: str, values: Mapping[str, str]) -> dict[str, str]:
    """`NAME=value`, or `NAME` alone for the variable of that name."""
    name, equals, value = given.partition("=")
    if equals:
        return {name: _filled(value, values)}
    return {name: values[name]} if name in values else {}


def _filled(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return values.get(match[1] or match[3]) or (match[2] or "")

    if "$(" in text or "`" in text:
        return UNKNOWN
    for _ in range(5):  # a job's variables may name others
        text, before = SHELL_VARIABLE.sub(value, text), text
        if text == before:
            break
    return text


def _inside(path: str, values: Mapping[str, str]) -> str:
    """The path as the repository has it."""
    root = values.get("CI_PROJECT_DIR") or "/builds"
    return posixpath.normpath(path.removeprefix(root).lstrip("/")) if path else "Dockerfile"
