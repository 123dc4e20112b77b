"""Languages by their file endings, without what others wrote (vendored) or tools made (generated)."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDINGS: dict[str, str] = {
    "py": "python",
    "js": "javascript",
    "mjs": "javascript",
    "cjs": "javascript",
    "jsx": "javascript",
    "ts": "typescript",
    "tsx": "typescript",
    "mts": "typescript",
    "rb": "ruby",
    "rake": "ruby",
    "java": "java",
    "kt": "kotlin",
    "scala": "scala",
    "groovy": "groovy",
    "go": "go",
    "rs": "rust",
    "php": "php",
    "cs": "csharp",
    "fs": "fsharp",
    "vb": "vb",
    "ex": "elixir",
    "exs": "elixir",
    "erl": "erlang",
    "clj": "clojure",
    "hs": "haskell",
    "dart": "dart",
    "swift": "swift",
    "c": "c",
    "cc": "cpp",
    "cpp": "cpp",
    "cr": "crystal",
    "zig": "zig",
    "lua": "lua",
    "pl": "perl",
    "r": "r",
    "jl": "julia",
    "ml": "ocaml",
    "cob": "cobol",
    "sh": "shell",
    "html": "static",
}
VENDORED = re.compile(
    r"(^|/)(node_modules|bower_components|vendor|third_party|\.yarn|dist|build|target|site-packages|\.venv|venv)/"
)
GENERATED = re.compile(r"\.min\.(js|css)$|(^|/)(package-lock\.json|.*\.lock)$|_pb2\.py$")


def is_vendored(path: str) -> bool:
    """Whether others wrote it."""
    return bool(VENDORED.search(path))


def by_bytes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Language → bytes of its own files, the largest first."""
    total: Counter[str] = Counter()
    for path, size in sizes.items():
        language = ENDINGS.get(path.rpartition(".")[2].lower())
        if language and not is_vendored(path) and not GENERATED.search(path):
            total[language] += size
    return dict(total.most_common())
