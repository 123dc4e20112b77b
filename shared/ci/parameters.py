"""What is one repository's own in proven files, and how they are made everybody's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.events import Files

if TYPE_CHECKING:
    from collections.abc import Callable

# Where a file names the registry: the only place, as the house rules have it.
REGISTRY_LINE = re.compile(r"""^(\s*REGISTRY:\s*|\s*ARG\s+REGISTRY=)["']?[^\s"'#]+["']?[ \t]*$""", re.MULTILINE)
# Stands in stored files for whatever registry they are rendered for; `.invalid` is no host anywhere (RFC 2606).
NO_REGISTRY = "registry.invalid"


def with_registry(files: Files, registry: str) -> Files:
    """The files with this registry where they declare REGISTRY."""
    return _each(files, lambda text: REGISTRY_LINE.sub(lambda match: match[1] + _like(match[1], registry), text))


def generalised(files: Files, project_path: str) -> Files:
    """The files without what belongs to one place: the registry, and the project's path, which GitLab's variable has.

    `project_path` is `group/name`. A bare name is left alone: too many words are somebody's project.
    """
    neutral = with_registry(files, NO_REGISTRY)
    if "/" not in project_path:
        return neutral
    own = re.compile(rf"(?<![\w./-]){re.escape(project_path)}(?![\w-])")
    return Files(
        pipeline=own.sub("${CI_PROJECT_PATH}", neutral.pipeline), dockerfile=own.sub("project", neutral.dockerfile)
    )


def _each(files: Files, change: Callable[[str], str]) -> Files:
    return Files(pipeline=change(files.pipeline), dockerfile=change(files.dockerfile))


def _like(declaration: str, registry: str) -> str:
    """Quoted in YAML, where a host with a port would else be read otherwise; bare in a Dockerfile."""
    return f'"{registry}"' if ":" in declaration else registry
