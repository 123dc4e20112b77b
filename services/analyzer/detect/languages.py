"""Languages by their file endings, without what others wrote (vendored) or tools made (generated)."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Language → the endings of its source files. After GitHub's linguist, whose list is the field's.
ENDINGS: dict[str, str] = {
    ending: language
    for language, endings in {
        "python": "py pyw pyx ipynb",
        "javascript": "js mjs cjs jsx",
        "typescript": "ts tsx mts cts",
        "vue": "vue",
        "svelte": "svelte",
        "astro": "astro",
        "ruby": "rb rake erb ru",
        "java": "java jsp",
        "kotlin": "kt kts",
        "scala": "scala sc",
        "groovy": "groovy gvy",
        "go": "go",
        "rust": "rs",
        "php": "php phtml",
        "csharp": "cs cshtml razor",
        "fsharp": "fs fsx fsi",
        "vb": "vb",
        "elixir": "ex exs eex heex",
        "erlang": "erl hrl",
        "gleam": "gleam",
        "clojure": "clj cljs cljc",
        "haskell": "hs lhs",
        "dart": "dart",
        "swift": "swift",
        "c": "c h",
        "cpp": "cc cpp cxx c++ hpp hh hxx",
        "crystal": "cr",
        "zig": "zig",
        "nim": "nim nims",
        "lua": "lua",
        "perl": "pl pm",
        "r": "r rmd",
        "julia": "jl",
        "ocaml": "ml mli",
        "cobol": "cob cbl cpy",
        "scheme": "scm ss",
        "shell": "sh bash zsh",
        "static": "html htm",
    }.items()
    for ending in endings.split()
}
# Languages that the tools of another one build.
FAMILIES: dict[str, frozenset[str]] = {
    language: frozenset(family.split())
    for family in (
        "javascript typescript vue svelte astro",
        "java kotlin scala groovy",
        "csharp fsharp vb",
        "c cpp",
    )
    for language in family.split()
}
SCRIPTED = frozenset({"javascript", "typescript"})
VENDORED = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|jspm_packages|vendor|third[_-]?party|\.yarn|\.pnp|dist|target|"
    r"site-packages|\.?venv|\.tox|\.eggs|__pycache__|\.gradle|\.mvn/wrapper|Pods|Carthage|_build|elm-stuff|"
    r"\.git|\.idea|\.vscode|\.next|\.nuxt|\.cache)/"
)
GENERATED = re.compile(
    r"\.min\.(?:js|css)$|\.bundle\.js$|[-_.]gen\.(?:ts|go)$|_pb2(?:_grpc)?\.py$|\.pb\.(?:go|cc|h)$|\.designer\.cs$|"
    r"\.g\.(?:dart|cs)$|\.generated\.\w+$|(?:^|/)\.pnp\.c?js$|(?:^|/)(?:gradlew|mvnw)(?:\.\w+)?$"
)
# Written by hand, but about the tools and not of the program.
CONFIGURATION = re.compile(
    r"(?:^|/)(?:[\w.-]+\.config|\.?[\w-]*rc|gulpfile|gruntfile|webpack\.mix|conftest|noxfile|jest\.setup)\.[cm]?[jt]s$"
    r"|\.d\.[cm]?ts$|(?:^|/)\.[\w-]+rc\.[cm]?js$",
    re.IGNORECASE,
)


def is_vendored(path: str) -> bool:
    """Whether others wrote it, or a tool keeps it there."""
    return VENDORED.search(path) is not None


def language_of(path: str) -> str | None:
    """The language of a source file by its ending; None for what is no source, or was generated."""
    language = ENDINGS.get(path.rpartition(".")[2].lower()) if "." in path.rpartition("/")[2] else None
    return None if language is None or GENERATED.search(path) else language


def by_bytes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Language → bytes, the largest first, of files of which none is vendored; a C header counts for C++ beside it."""
    total: Counter[str] = Counter()
    for path, size in sizes.items():
        language = language_of(path)
        if language and not (language in SCRIPTED and CONFIGURATION.search(path)):
            total[language] += size
    if total["cpp"] > 0 and not any(path.endswith(".c") for path in sizes):
        total["cpp"] += total.pop("c", 0)
    return {language: size for language, size in total.most_common() if size}
