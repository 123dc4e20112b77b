"""Where an image can be read: mirrors and pull-through caches in their order, then its own registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from shared.ci.references import parse

Scheme = Literal["", "http", "https"]
# A user in an address, perhaps with a password: never shown.
_USER = re.compile(r"//.*@")


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
    of, equals, where = (part.strip() for part in entry.rpartition("="))
    scheme: Scheme = "http" if where.startswith("http://") else "https" if where.startswith("https://") else ""
    where = where.removeprefix(f"{scheme}://").rstrip("/")
    of = "docker.io" if of.lower() == "index.docker.io" else of.lower()
    try:
        known = parse(f"{where}/x").domain == where.partition("/")[0]
        known = known and (not equals or parse(f"{of}/x/y").domain == of)
    except ValueError:
        known = False
    if not known:
        shown = _USER.sub("//…@", entry)
        advice = "users are in SEED_AUTH_FILE" if shown != entry else "REGISTRY is a host such as docker.io"
        raise ValueError(
            f"{shown!r} is no mirror; write HOST:PORT, or REGISTRY=HOST:PORT for a cache of one registry; {advice}"
        )
    return Mirror(where, of, scheme)
