"""Where an image can be read: mirrors and pull-through caches in their order, then its own registry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from shared.ci.references import parse

Scheme = Literal["", "http", "https"]


@dataclass(frozen=True)
class Mirror:
    """A registry that has other registries' images: all under their full names, or those of one without its host.

    `where` is host, port and path; `of` the one registry that it caches, empty where it has all. `scheme` empty
    leaves it to the rule: http on loopback, else https.
    """

    where: str
    of: str = ""
    scheme: Scheme = ""


@dataclass(frozen=True)
class Place:
    """One place of an image: its whole name there. `own` where this is the registry that the image is named after."""

    name: str
    scheme: Scheme = ""
    own: bool = False

    @property
    def host(self) -> str:
        """The registry, with its port where it has one."""
        return parse(self.name).domain


def mirrors_of(text: str) -> tuple[Mirror, ...]:
    """The mirrors of a setting such as `docker.io=cache:5000, http://mirror:5000/all`; ValueError where one is none."""
    return tuple(_mirror(entry) for part in text.split(",") if (entry := part.strip()))


def places_of(source: str, mirrors: tuple[Mirror, ...], *, own: bool) -> tuple[Place, ...]:
    """Where to read a source, in order; with `own` its own registry comes last."""
    image = parse(source)
    short = f"{image.repository}{image.version}"
    found = [
        Place(f"{mirror.where}/{short if mirror.of else image}", mirror.scheme)
        for mirror in mirrors
        if mirror.of in ("", image.domain)
    ]
    return (*found, Place(str(image), own=True)) if own else tuple(found)


def _mirror(entry: str) -> Mirror:
    of, equals, where = entry.rpartition("=")
    scheme: Scheme = "http" if where.startswith("http://") else "https" if where.startswith("https://") else ""
    where = where.removeprefix(f"{scheme}://").rstrip("/")
    mirror = Mirror(where, of.strip(), scheme)
    try:
        known = parse(f"{where}/x").domain == where.partition("/")[0] and (not equals or parse(f"{mirror.of}/x/y"))
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{entry!r} is no mirror; write HOST:PORT, or REGISTRY=HOST:PORT for a cache of one registry")
    return replace(mirror, of="docker.io" if mirror.of == "index.docker.io" else mirror.of)
