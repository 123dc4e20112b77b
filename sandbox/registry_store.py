"""Where the small registry keeps its images: plain files, content-addressed, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class DigestMismatchError(ValueError):
    """The bytes are not what their digest says."""


@dataclass(frozen=True)
class Stored:
    """A manifest with its media type."""

    digest: str
    media_type: str
    content: bytes


class Store:
    """Blobs by digest for all repositories; each repository has links to those that it may show."""

    def __init__(self, root: Path) -> None:
        """The folders are made where missing."""
        self._blobs = root / "blobs"
        self._repositories = root / "repositories"
        self._uploads = root / "uploads"
        for folder in (self._blobs, self._repositories, self._uploads):
            folder.mkdir(parents=True, exist_ok=True)

    def begin(self) -> str:
        """The id of a new upload."""
        upload = secrets.token_hex(16)
        (self._uploads / upload).touch()
        return upload

    def upload(self, upload: str) -> Path | None:
        """The file of an upload; None where it does not exist."""
        path = self._uploads / upload
        return path if upload.isalnum() and path.is_file() else None

    def finish(self, path: Path, repository: str, digest: str) -> None:
        """Make the upload a blob of the repository; DigestMismatchError where the bytes are others."""
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != f"sha256:{actual}":
            path.unlink()
            raise DigestMismatchError(f"provided digest {digest} does not match sha256:{actual}")
        path.replace(self._blobs / actual)
        self._link(repository, "layers", digest)

    def mount(self, repository: str, digest: str, origin: str) -> bool:
        """Show a blob of another repository in this one; False where the other does not have it."""
        if self.blob(origin, digest) is None:
            return False
        self._link(repository, "layers", digest)
        return True

    def blob(self, repository: str, digest: str) -> Path | None:
        """The file of a blob that the repository shows."""
        name = _hex(digest)
        linked = bool(name) and (self._folder(repository) / "layers" / name).is_file()
        return self._blobs / name if linked else None

    def put_manifest(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Store under its digest, and under the tag where the reference is one; the digest.

        Raises DigestMismatchError, or LookupError with the digest of a part that the repository does not have.
        """
        actual = hashlib.sha256(content).hexdigest()
        if ":" in reference and reference != f"sha256:{actual}":
            raise DigestMismatchError(f"provided digest {reference} does not match sha256:{actual}")
        self._check_parts(repository, json.loads(content))
        _write(self._blobs / actual, content)
        self._link(repository, "manifests", f"sha256:{actual}", media_type)
        if ":" not in reference:
            tags = self._folder(repository) / "tags"
            tags.mkdir(exist_ok=True)
            _write(tags / reference, f"sha256:{actual}".encode())
        return f"sha256:{actual}"

    def manifest(self, repository: str, reference: str) -> Stored | None:
        """The manifest of a tag or digest."""
        folder = self._folder(repository)
        tag = folder / "tags" / reference
        digest = reference if ":" in reference else tag.read_text() if tag.is_file() else ""
        link = folder / "manifests" / (_hex(digest) or "-")
        if not link.is_file():
            return None
        return Stored(digest, link.read_text(), (self._blobs / _hex(digest)).read_bytes())

    def tags(self, repository: str) -> list[str] | None:
        """All tags, sorted; None where there is no such repository."""
        folder = self._folder(repository)
        if not (folder / "manifests").is_dir():
            return None
        return sorted(path.name for path in (folder / "tags").glob("*"))

    def repositories(self) -> list[str]:
        """The names of all repositories that hold a manifest, sorted."""
        return sorted(p.parent.name.replace("%", "/") for p in self._repositories.glob("*/manifests"))

    def _check_parts(self, repository: str, document: dict[str, Any]) -> None:
        for part in _parts(document):
            if self.blob(repository, part) is None and self.manifest(repository, part) is None:
                raise LookupError(part)

    def _link(self, repository: str, kind: str, digest: str, content: str = "") -> None:
        folder = self._folder(repository) / kind
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / _hex(digest), content.encode())

    def _folder(self, repository: str) -> Path:
        """One flat folder: `%` cannot be part of a name, so a repository and one below it stay apart."""
        return self._repositories / repository.replace("/", "%")


def _parts(document: dict[str, Any]) -> list[str]:
    """The digests that a manifest or an index is made of."""
    found: list[str] = []
    for key in ("config", "layers", "manifests"):
        value = document.get(key, [])
        entries = value if isinstance(value, list) else [value]
        found += [entry["digest"] for entry in entries if "urls" not in entry]
    return found


def _hex(digest: str) -> str:
    """The hex part of a sha256 digest; empty where it is none."""
    algorithm, _, name = digest.partition(":")
    return name if algorithm == "sha256" and len(name) == 64 and name.isalnum() else ""  # noqa: PLR2004 - sha256 in hex


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    temporary.write_bytes(content)
    temporary.replace(path)
