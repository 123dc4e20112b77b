"""What a model is shown of a repository: the files that say most, those first; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.analyzer import detect
from shared.ci.secrets import masked

if TYPE_CHECKING:
    from shared.events import Analysis
    from shared.ports import Snapshot

EXISTING = (".gitlab-ci.yml", "Dockerfile", "Containerfile")
AROUND = (
    *("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", "Procfile", "Makefile"),
    *("README.md", "README.rst", "README"),
)
# Where programs begin, by custom; the analysis names the one that does.
ENTRIES = frozenset(
    {
        *("app.py", "main.py", "manage.py", "wsgi.py", "asgi.py", "config.ru", "index.php", "Program.cs"),
        *("server.js", "index.js", "app.js", "main.js", "server.ts", "index.ts", "app.ts", "main.ts"),
        *("main.go", "main.rs", "main.dart", "main.swift"),
    }
)
ALSO_READ = frozenset({*EXISTING, *AROUND, *ENTRIES})
LOCKS = ("lock", "sum", "-lock.json", "-lock.yaml", "shrinkwrap.json", "lock.json")
# Bytes of one file and of all; a model's context is smaller still, and the generator has its own budget.
FILE_BYTES, ALL_BYTES = 16_000, 200_000
DEEPEST = 2


def is_read(path: str) -> bool:
    """Whether the content of this path is fetched: for the analysis, or to be shown."""
    shown = path.rpartition("/")[2] in ALSO_READ and path.count("/") <= DEEPEST
    return detect.is_manifest(path) or (shown and not detect.languages.is_vendored(path))


def excerpts(snapshot: Snapshot, analysis: Analysis) -> dict[str, str]:
    """Path → text without secrets: manifests, the entry point, the files that exist already, what stands around."""
    root = f"{analysis.root}/" if analysis.root else ""
    manifests = [f"{root}{name}" for name in analysis.manifests if not name.endswith(LOCKS)]
    entry = [f"{root}{analysis.entry_point}"] if analysis.entry_point else []
    near = [f"{root}{name}" for name in (*EXISTING, *AROUND)]
    others = sorted(path for path in snapshot.contents if path.rpartition("/")[2] in ENTRIES)
    chosen: dict[str, str] = {}
    left = ALL_BYTES
    for path in dict.fromkeys([*manifests, *entry, *near, *EXISTING, *AROUND, *others]):
        data = snapshot.contents.get(path, b"")[: min(FILE_BYTES, left)]
        if data:
            left -= len(data)
            chosen[path] = masked(data.decode(errors="replace"))
    return chosen
