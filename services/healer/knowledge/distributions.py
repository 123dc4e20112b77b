"""Distributions: which one an image is of, and how its packages are installed."""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.ci.images import parse


class Family(NamedTuple):
    """One package manager.

    `command` installs in a script, `instruction` in a Dockerfile, where nothing of it may stay behind; both with the
    place of the packages in braces. `existing` finds such a command up to where another package may be written.
    """

    name: str
    command: str
    instruction: str
    existing: re.Pattern[str]


APT = Family(
    "apt",
    "apt-get update && apt-get install --yes --no-install-recommends {}",
    "RUN apt-get update && apt-get install --yes --no-install-recommends {} && rm -rf /var/lib/apt/lists/*",
    re.compile(r"\bapt(?:-get)?[ \t]+(?:-\S+[ \t]+){0,5}install(?:[ \t]+-(?!t\b|-target)\S+){0,8}(?=[ \t])"),
)
APK = Family(
    "apk",
    "apk add --no-cache {}",
    "RUN apk add --no-cache {}",
    re.compile(r"\bapk[ \t]+(?:-\S+[ \t]+){0,5}add(?:[ \t]+-(?!t\b|-virtual|-repository|X\b)\S+){0,8}(?=[ \t])"),
)
DNF = Family(
    "dnf",
    "dnf install -y {}",
    "RUN dnf install -y {} && dnf clean all",
    re.compile(r"\b(?:micro)?(?:dnf|yum)[ \t]+(?:-\S+[ \t]+){0,5}install(?:[ \t]+-\S+){0,8}(?=[ \t])"),
)
FAMILIES = (APT, APK, DNF)

# By the end of the repository's name; the tag may say otherwise (`-alpine`). What has no package manager is in none.
_DEBIAN = (
    *("python", "node", "ruby", "golang", "rust", "maven", "gradle", "eclipse-temurin", "php", "debian", "ubuntu"),
    *("elixir", "erlang", "dart", "swift", "haskell", "dotnet/sdk", "dotnet/aspnet", "dotnet/runtime", "gcc", "perl"),
    *("clojure", "gcc-cmake", "buildpack-deps", "golangci-lint", "postgres", "julia", "r-base", "oven/bun", "bun"),
    *("denoland/deno", "deno", "miniconda3", "scala-sbt", "openjdk", "mono", "nginx", "tomcat", "jruby", "hylang"),
)
_ALPINE = (
    *("alpine", "docker", "bash", "shellcheck-alpine", "semgrep", "trivy", "hugo", "clj-kondo", "crystal", "gosec"),
    *("alpine-git", "git", "helm", "kubectl"),
)
_FEDORA = ("fedora", "centos", "rockylinux", "almalinux", "ubi8", "ubi9", "amazonlinux", "oraclelinux", "ubi")
# Images whose user may install nothing.
_NOT_ROOT = ("curlimages/curl", "nginx-unprivileged", "serversideup/php", "moby/buildkit")
_NO_SYSTEM = re.compile(r"distroless|busybox|scratch|windows|nanoserver|servercore")


def family_of(reference: str) -> Family | None:
    """The package manager of an image by its name; None where it has none, or nobody knows."""
    try:
        image = parse(reference)
    except ValueError:
        return None
    tag, repository = image.tag or "", image.repository
    if _NO_SYSTEM.search(f"{repository}:{tag}"):
        return None
    if "alpine" in tag or _ends(repository, _ALPINE):
        return APK
    if re.search(r"(?:^|-)(?:ubi\d*|fedora|centos|oracle)", tag) or _ends(repository, _FEDORA):
        return DNF
    return APT if _ends(repository, _DEBIAN) or _ends(repository, _NOT_ROOT) else None


def is_root(reference: str) -> bool:
    """Whether a job in this image runs as root, as far as its name tells."""
    try:
        image = parse(reference)
    except ValueError:
        return False
    return not _ends(image.repository, _NOT_ROOT) and not (image.tag or "").endswith("rootless")


def _ends(repository: str, names: tuple[str, ...]) -> bool:
    return any(repository == name or repository.endswith(f"/{name}") for name in names)
