"""Files between jobs: artifacts collected and unpacked, caches kept, in the words of GitLab's runner."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.ci_glob import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EXECUTABLE = 0o755
PLAIN = 0o644


@dataclass
class Found:
    """What the patterns matched below a checkout, and what the runner says of it."""

    paths: list[str] = field(default_factory=list)
    said: str = ""


def found(root: Path, patterns: Sequence[str], exclude: Sequence[str] = ()) -> Found:
    """All files that the patterns name, folders with all below them; nothing outside the checkout."""
    result = Found()
    files = list(_files(root))
    for pattern in patterns:
        wanted = [path for path in files if _named(path, pattern)]
        result.said += _said(root, pattern, wanted)
        result.paths += [path for path in wanted if not any(_named(path, one) for one in exclude)]
    result.paths = sorted(dict.fromkeys(result.paths))
    return result


def _named(path: str, pattern: str) -> bool:
    """Whether a pattern names the file or a folder that it lies in; `**` is any number of folders."""
    plain = pattern.removeprefix("./").rstrip("/")
    if plain in {"", ".", "**", "**/*"}:
        return True
    if plain.endswith("/**"):
        plain = plain.removesuffix("/**")
    parts = path.split("/")
    return any(matches("/".join(parts[:end]), plain) for end in range(len(parts), 0, -1))


def _said(root: Path, pattern: str, wanted: Sequence[str]) -> str:
    if wanted:
        return f"{pattern}: found {len(wanted)} matching artifact files and directories{trace.CLEAR}\n"
    words = f"WARNING: {pattern}: no matching files. Ensure that the artifact path is relative to the working directory"
    return f"{trace.YELLOW}{words} ({root}){trace.RESET}\n"


def _files(root: Path) -> Iterable[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not (folder == str(root) and name == ".git")]
        for name in names:
            path = Path(folder) / name
            if path.is_file() or path.is_symlink():
                yield str(path.relative_to(root))


def pack(root: Path, paths: Sequence[str], archive: Path) -> int:
    """Write the files into an archive; its size in bytes. Links are kept as links."""
    # Jobs that run together save the same cache: each writes a file of its own, and the last one stays.
    partial = archive.with_suffix(f".{os.urandom(4).hex()}.part")
    # As little work as deflate can do: an image of some hundred megabytes is not much smaller for more of it.
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as packed:
        for name in paths:
            path = root / name
            if path.is_symlink():
                info = zipfile.ZipInfo(name)
                info.external_attr = 0o120777 << 16
                packed.writestr(info, str(path.readlink()))
            else:
                packed.write(path, name)
    partial.replace(archive)
    return archive.stat().st_size


def unpack(archive: Path, root: Path) -> int:
    """Write an archive's files below the checkout; their number. Whatever would lie outside is left out."""
    count = 0
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            target = root / info.filename
            if info.is_dir() or not target.resolve().is_relative_to(root.resolve()):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if (info.external_attr >> 16) & 0o170000 == 0o120000:  # noqa: PLR2004 - a symbolic link (stat.h)
                _link(packed.read(info).decode(), target, root)
            else:
                target.unlink(missing_ok=True)
                target.write_bytes(packed.read(info))
                target.chmod(EXECUTABLE if (info.external_attr >> 16) & 0o111 else PLAIN)
            count += 1
    return count


def _link(points_at: str, target: Path, root: Path) -> None:
    if (target.parent / points_at).resolve().is_relative_to(root.resolve()):
        target.unlink(missing_ok=True)
        target.symlink_to(points_at)


class Caches:
    """The caches of all projects: an archive for each key."""

    def __init__(self, folder: Path) -> None:
        """The folder is made with the first cache."""
        self._folder = folder

    def place(self, project: int, key: str) -> Path:
        """Where the archive of a key lies, or would lie."""
        return self._folder / str(project) / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.zip"

    def restore(self, project: int, cache: Mapping[str, Any], root: Path) -> str:
        """Unpack a cache into the checkout; what the runner says of it."""
        key = cache_key(cache, root)
        said = f"Checking cache for {key}...{trace.CLEAR}\n"
        if cache.get("policy", "pull-push") == "push":
            return f"Not downloading cache {key} due to policy{trace.CLEAR}\n"
        fallbacks = cache.get("fallback_keys") or []
        for one in (key, *map(str, fallbacks if isinstance(fallbacks, list) else [fallbacks])):
            if (place := self.place(project, one)).is_file():
                unpack(place, root)
                return f"{said}{trace.GREEN}Successfully extracted cache{trace.RESET}\n"
        words = "WARNING: file does not exist"
        return f"{said}{trace.YELLOW}{words}{trace.RESET}\n{trace.YELLOW}Failed to extract cache{trace.RESET}\n"

    def save(self, project: int, cache: Mapping[str, Any], root: Path) -> str:
        """Pack what a cache names; what the runner says of it."""
        key = cache_key(cache, root)
        if cache.get("policy", "pull-push") == "pull":
            return f"Not uploading cache {key} due to policy{trace.CLEAR}\n"
        matched = found(root, cache.get("paths") or [])
        said = f"Creating cache {key}...{trace.CLEAR}\n{matched.said}"
        if not matched.paths:
            return said
        place = self.place(project, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        pack(root, matched.paths, place)
        return f"{said}{trace.GREEN}Created cache{trace.RESET}\n"


def cache_key(cache: Mapping[str, Any], root: Path) -> str:
    """The key of a cache; for `key:files` it follows from the content of the files, `default` where none is there."""
    key = cache.get("key", "default")
    if not isinstance(key, dict):
        return str(key) or "default"
    there = [root / str(name) for name in key.get("files") or [] if (root / str(name)).is_file()]
    digest = hashlib.sha1(b"".join(path.read_bytes() for path in there), usedforsecurity=False).hexdigest()
    prefix = f"{key['prefix']}-" if key.get("prefix") else ""
    return f"{prefix}{digest if there else 'default'}"
