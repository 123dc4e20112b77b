"""A bundle: one tar with an OCI image layout in it, which has any number of images and each blob once.

Layout: the OCI image specification, "image layout". Manifests keep the types that their registries gave them, so that
every digest stays what it was; an image's full source name is its `org.opencontainers.image.ref.name`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from shared.ci.references import parse
from shared.errors import Reject

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT, INDEX, BLOBS = "oci-layout", "index.json", "blobs/sha256/"
REF_NAME = "org.opencontainers.image.ref.name"
# Skopeo's folders: the manifest, those of its platforms, and this file; all else are blobs.
MANIFEST, VERSION, VERSION_TEXT = "manifest.json", "version", "Directory Transport Version: 1.1\n"
CHUNK = 1 << 20
DOCUMENT_LIMIT = 4 << 20

_MEMBER = re.compile(rf"{LAYOUT}|{INDEX}|{BLOBS}([0-9a-f]{{64}})")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Packed:
    """One image of a bundle; `size` is the sum of its blobs in bytes."""

    source: str
    digest: str
    size: int


class Layout:
    """An image layout in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        """In a folder that exists."""
        self.folder = folder
        self._blobs = folder / BLOBS
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._entries: dict[str, dict[str, Any]] = {}

    def take(self, source: str, folder: Path) -> Packed:
        """Move what skopeo wrote into a folder into the layout, under the image's full source name."""
        manifest = (folder / MANIFEST).read_bytes()
        digest = _digest(manifest)
        for path in folder.iterdir():
            # Signatures are not in the layout; they belong to the registry that made them.
            if _HEX.fullmatch(name := path.name.removesuffix(".manifest.json")):
                path.replace(self._blobs / name)
        (self._blobs / digest).write_bytes(manifest)
        self._entries[source] = {
            "mediaType": _media_type(json.loads(manifest)),
            "digest": f"sha256:{digest}",
            "size": len(manifest),
            "annotations": {REF_NAME: source},
        }
        return Packed(source, f"sha256:{digest}", self._size(digest))

    def images(self) -> list[Packed]:
        """Every image of the layout; Reject where its index is none, or a part of an image is missing."""
        return [self._packed(entry) for entry in self._index()]

    @contextmanager
    def unpacked(self, image: Packed, scratch: Path) -> Iterator[Path]:
        """The image as a folder that skopeo reads, its blobs linked; copied where the disk knows no links."""
        with tempfile.TemporaryDirectory(dir=scratch) as name:
            folder, digest = Path(name), image.digest.removeprefix("sha256:")
            (folder / VERSION).write_text(VERSION_TEXT)
            _link(self._blobs / digest, folder / MANIFEST)
            for part, is_manifest in self._parts(digest):
                _link(self._blobs / part, folder / (f"{part}.manifest.json" if is_manifest else part))
            yield folder

    def write(self, bundle: Path) -> int:
        """Pack the layout into the file, which appears whole or not at all; its size in bytes."""
        (self.folder / LAYOUT).write_text('{"imageLayoutVersion":"1.0.0"}')
        entries = [self._entries[source] for source in sorted(self._entries)]
        (self.folder / INDEX).write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
        partial = bundle.with_name(f".{bundle.name}.partial")
        try:
            with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
                for name in (LAYOUT, INDEX):
                    archive.add(self.folder / name, name, filter=_anonymous)
                for blob in sorted(self._blobs.iterdir()):
                    archive.add(blob, f"{BLOBS}{blob.name}", filter=_anonymous)
            partial.replace(bundle)
        finally:
            partial.unlink(missing_ok=True)
        return bundle.stat().st_size

    def read(self, bundle: Path) -> None:
        """Unpack the file; Reject says what is wrong with one that is no bundle, is cut off, or was changed."""
        try:
            with tarfile.open(bundle, "r:") as archive:
                for member in archive:
                    self._unpack(archive, member, bundle)
        except (tarfile.TarError, EOFError) as error:
            raise Reject(f"{bundle} is no whole bundle: {error or 'it ends too early'}; carry it over again") from error
        if not (self.folder / LAYOUT).is_file():
            raise Reject(f"{bundle} is no bundle: it has no {LAYOUT}; make one with: greenrun images export")

    def _unpack(self, archive: tarfile.TarFile, member: tarfile.TarInfo, bundle: Path) -> None:
        name = _MEMBER.fullmatch(member.name)
        content = archive.extractfile(member) if name and member.isfile() else None
        if name is None or content is None:
            raise Reject(f"{bundle} has {member.name!r}, which no bundle has; nothing was imported")
        if name[1]:
            _write_blob(content, self._blobs / name[1], bundle)
        else:
            (self.folder / member.name).write_bytes(content.read(DOCUMENT_LIMIT))

    def _index(self) -> list[dict[str, Any]]:
        try:
            entries = json.loads((self.folder / INDEX).read_text())["manifests"]
            return [entry for entry in entries if parse(entry["annotations"][REF_NAME]) and _hex(entry["digest"])]
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Reject(f"the bundle's {INDEX} names no images: {error}; make it again") from error

    def _packed(self, entry: dict[str, Any]) -> Packed:
        source, digest = entry["annotations"][REF_NAME], entry["digest"]
        return Packed(source, digest, self._size(_hex(digest), source))

    def _size(self, digest: str, source: str = "") -> int:
        """Bytes of all parts; Reject where one is not in the layout."""
        try:
            return sum((self._blobs / part).stat().st_size for part, _ in self._parts(digest))
        except FileNotFoundError as error:
            part = Path(str(error.filename)).name[:12]
            raise Reject(f"the bundle does not have all of {source}: blob {part}… is missing; make it again") from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Reject(f"the bundle has a manifest of {source} that is none: {error}; make it again") from error

    def _parts(self, digest: str) -> Iterator[tuple[str, bool]]:
        """The parts of a manifest, and of those that it lists, each once: hex digest, and whether it is a manifest."""
        manifests, seen = [digest], {digest}
        while manifests:
            document = json.loads((self._blobs / manifests.pop()).read_bytes()[:DOCUMENT_LIMIT])
            for entry, is_manifest in _entries(document):
                if (part := _hex(entry["digest"])) not in seen:
                    seen.add(part)
                    manifests += [part] if is_manifest else []
                    yield part, is_manifest


def _entries(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    """What a manifest or an index names, and whether it is a manifest; layers that live elsewhere are left out."""
    yield from ((entry, True) for entry in document.get("manifests", ()))
    blobs = [document["config"]] if "config" in document else []
    yield from ((entry, False) for entry in (*blobs, *document.get("layers", ())) if not entry.get("urls"))


def _write_blob(content: IO[bytes], path: Path, bundle: Path) -> None:
    """The bytes, which are what their name says; Reject where they are not."""
    actual = hashlib.sha256()
    with path.open("wb") as file:
        while chunk := content.read(CHUNK):
            actual.update(chunk)
            file.write(chunk)
    if actual.hexdigest() != path.name:
        raise Reject(f"{bundle} was changed or cut off: blob {path.name[:12]}… is not what its name says")


def _link(there: Path, here: Path) -> None:
    """The same file under another name; a second one where the disk, such as that of a stick, knows no links."""
    try:
        os.link(there, here)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(there, here)


def _media_type(document: dict[str, Any]) -> str:
    """The manifest's own type; the oldest OCI ones do not say it."""
    fallback = "index" if "manifests" in document else "manifest"
    return str(document.get("mediaType") or f"application/vnd.oci.image.{fallback}.v1+json")


def _hex(digest: str) -> str:
    """The hex part of a sha256 digest; ValueError where it is none."""
    name = digest.removeprefix("sha256:")
    if not _HEX.fullmatch(name):
        raise ValueError(f"{digest!r} is no sha256 digest")
    return name


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same images give the same bytes, whoever packs them and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
