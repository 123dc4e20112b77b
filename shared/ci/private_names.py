"""What an image is called in the private registry: one table of rules, for the generated files and for the seeder."""

from __future__ import annotations

from dataclasses import dataclass

from shared.ci.references import COMPONENT, parse


@dataclass(frozen=True)
class NameRule:
    """A source whose full name begins with `source` is named with `private` in its place, below the registry."""

    source: str
    private: str


# The first that matches says the name. Settings put an installation's own in front (IMAGE_NAMES).
RULES: tuple[NameRule, ...] = (
    NameRule("docker.io/library/", ""),
    NameRule("docker.io/", ""),
    NameRule("", ""),
)


def rules_of(text: str) -> tuple[NameRule, ...]:
    """The rules of a setting such as `docker.io/=hub/, gcr.io/=google/`, then the table's own.

    ValueError where one is no pair of prefixes, or where two sources would have the same private names.
    """
    own: list[NameRule] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        source, equals, private = (part.strip() for part in entry.partition("="))
        if not equals or not source.endswith("/") or not _is_prefix(private):
            raise ValueError(f"{entry!r} is no rule; write SOURCE/=PRIVATE/ such as docker.io/=hub/")
        taken = [rule.source for rule in own if rule.private == private and rule.source != source]
        if not private and not source.startswith("docker.io/"):
            taken.append("docker.io/")
        if taken:
            raise ValueError(f"{entry!r} is no rule: {taken[0]} has the private names {private or 'without a prefix'}")
        own.append(NameRule(source, private))
    return (*own, *RULES)


def registry_of(text: str) -> str:
    """The private registry of a setting; ValueError where images cannot be named in it."""
    try:
        named = str(parse(f"{text}/x")) == f"{text}/x:latest"
    except ValueError:
        named = False
    if not named:
        raise ValueError(
            "this is no registry; write HOST:PORT, or HOST with a dot in it, no http:// before and no / behind it"
        )
    return text


def is_private(reference: str, registry: str) -> bool:
    """Whether the image is named in the private registry."""
    return reference.startswith(f"{registry}/")


def private_name(source: str, registry: str, rules: tuple[NameRule, ...] = RULES) -> str:
    """The name of a source's image in the private registry; a private name stays as it is.

    ValueError where the source is no reference, its host has a port and so cannot be part of a path, or the name that
    the rules give is another source's.
    """
    if is_private(source, registry):
        return str(parse(source))
    image = parse(source)
    full = f"{image.domain.lower()}/{image.repository}"
    rule = next(rule for rule in rules if full.startswith(rule.source))
    path = rule.private + full.removeprefix(rule.source)
    if not COMPONENT.fullmatch(path.partition("/")[0]):
        raise ValueError(f"image {source!r}: registry {image.domain} has a port and cannot be part of a private name")
    private = f"{registry}/{path}{image.version}"
    if (other := source_name(private, registry, rules)) != full + image.version:
        raise ValueError(f"image {source!r}: its private name {private} is that of {other}; change IMAGE_NAMES")
    return private


def source_name(private: str, registry: str, rules: tuple[NameRule, ...] = RULES) -> str:
    """The full name of the source behind a private name; ValueError where the name is not in the private registry."""
    if not is_private(private, registry):
        raise ValueError(f"image {private!r} is not in the registry {registry}")
    image = parse(private)
    path = image.repository.removeprefix(parse(f"{registry}/x").repository.removesuffix("x"))
    # What begins with more is the better match; a path that is a full name already stands for itself.
    ordered = sorted(rules, key=lambda rule: (-len(rule.private), len(rule.source)))
    names = (rule.source + path.removeprefix(rule.private) for rule in ordered if path.startswith(rule.private))
    return next(name for name in names if _is_full(name)) + image.version


def _is_full(name: str) -> bool:
    """Whether nothing of the name is left to defaults."""
    image = parse(name)
    return f"{image.domain}/{image.repository}" == name


def _is_prefix(private: str) -> bool:
    """Empty, or parts of a repository's name each with its slash."""
    parts = private.split("/")
    return parts[-1] == "" and all(COMPONENT.fullmatch(part) for part in parts[:-1])
