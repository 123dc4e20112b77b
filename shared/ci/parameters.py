"""What is one repository's own in proven files, and how they are made everybody's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.ci.secrets import masked
from shared.events import Files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Where a file names the registry: the only place, as the house rules have it.
REGISTRY_LINE = re.compile(r"""^(\s*REGISTRY:\s*|\s*ARG\s+REGISTRY=)["']?[^\s"'#]+["']?[ \t]*$""", re.MULTILINE)
# Stands in stored files for whatever registry they are rendered for; `.invalid` is no host anywhere (RFC 2606).
NO_REGISTRY = "registry.invalid"


def with_registry(files: Files, registry: str) -> Files:
    """The files with this registry where they declare REGISTRY."""
    return _each(files, lambda text: REGISTRY_LINE.sub(lambda match: match[1] + _like(match[1], registry), text))


def generalised(files: Files, project_path: str, repo_url: str = "") -> Files:
    """The files without what belongs to one place: registry, address, path and image of the project, and secrets.

    `project_path` is `group/name`. GitLab's variables stand for them in the pipeline, plain words in the Dockerfile,
    which knows no variables. A bare name is left alone but in an image's: too many words are somebody's project.
    """
    neutral = _each(with_registry(files, NO_REGISTRY), masked)
    pipeline, dockerfile = neutral.pipeline, neutral.dockerfile
    for own, variable, word in _owned(project_path, repo_url.removesuffix(".git")):
        pipeline, dockerfile = own.sub(variable, pipeline), own.sub(word, dockerfile)
    return Files(pipeline=pipeline, dockerfile=dockerfile)


def _owned(project_path: str, url: str) -> Iterator[tuple[re.Pattern[str], str, str]]:
    """What is one project's own, the variable that has it, and the word that stands for it; the longest first."""
    if url:
        yield re.compile(rf"{re.escape(url)}(?![\w-])"), "${CI_PROJECT_URL}", "https://project.invalid"
    if "/" in project_path:
        yield re.compile(rf"(?<![\w./-]){re.escape(project_path)}(?![\w-])"), "${CI_PROJECT_PATH}", "project"
        name = re.escape(project_path.rpartition("/")[2])
        yield re.compile(rf"(?<=REGISTRY[/}}])(?P<slash>/?){name}(?![\w-])"), r"\g<slash>${CI_PROJECT_NAME}", "project"


def _each(files: Files, change: Callable[[str], str]) -> Files:
    return Files(pipeline=change(files.pipeline), dockerfile=change(files.dockerfile))


def _like(declaration: str, registry: str) -> str:
    """Quoted in YAML, where a host with a port would else be read otherwise; bare in a Dockerfile."""
    return f'"{registry}"' if ":" in declaration else registry
