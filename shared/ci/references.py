"""Image references by the OCI grammar.

Grammar: the distribution project's `reference` package (name at most 255 characters, tag at most 128).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
NAME_LIMIT = 255

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}", re.ASCII)
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """An image by registry, repository, and tag or digest (or both); without either the tag is `latest`."""

    domain: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        """The whole name, nothing left to defaults."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.domain}/{self.repository}{tag}{digest}"

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest where there is one, else the tag."""
        return self.digest or self.tag or "latest"

    @property
    def version(self) -> str:
        """What follows the name: tag, digest or both with their separators."""
        return str(self).removeprefix(f"{self.domain}/{self.repository}")


def parse(text: str) -> Reference:
    """The reference with Docker's defaults filled in; ValueError says in one sentence what is wrong with it."""
    name, at, digest = text.partition("@")
    if at and not _valid_digest(digest):
        raise ValueError(f"image {text!r}: {digest!r} is not a digest (sha256: and 64 hex digits)")
    name, tag = _split_tag(name)
    if tag is not None and not _TAG.fullmatch(tag):
        raise ValueError(f"image {text!r}: {tag!r} is not a tag (1 to 128 letters, digits, '_', '.', '-')")
    domain, repository = _split_domain(name)
    _check_name(text, domain, repository)
    return Reference(domain, repository, tag or (None if at else "latest"), digest or None)


def _valid_digest(digest: str) -> bool:
    pattern = _SHA256 if digest.startswith("sha256:") else _DIGEST
    return pattern.fullmatch(digest) is not None


def _split_tag(name: str) -> tuple[str, str | None]:
    """A colon after the last slash begins the tag; one before it belongs to the port."""
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{head}{slash}{last}", tag if colon else None


def _split_domain(name: str) -> tuple[str, str]:
    """The first part is a host where it has a dot, a port or upper case, or is `localhost`."""
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    domain, path = (first, rest) if is_host else (DOCKER_HUB, name)
    domain = DOCKER_HUB if domain == f"index.{DOCKER_HUB}" else domain
    return domain, f"library/{path}" if domain == DOCKER_HUB and "/" not in path else path


def _check_name(text: str, domain: str, repository: str) -> None:
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"image {text!r}: {domain!r} is not the host of a registry")
    for part in repository.split("/"):
        if not COMPONENT.fullmatch(part):
            raise ValueError(
                f"image {text!r}: {part!r} is not part of a name (lower case letters and digits, "
                "with single '.', '_', '-' between)"
            )
    if len(domain) + 1 + len(repository) > NAME_LIMIT:
        raise ValueError(f"image {text[:60]!r}…: a name has at most {NAME_LIMIT} characters")
