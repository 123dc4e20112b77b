"""The template of two files: what it is called, and what it assumes of a repository."""

from __future__ import annotations

import re

from shared.events import Analysis, Files, Template


def template_for(analysis: Analysis, files: Files, *, collection: str, stages: int) -> Template:
    """The template of files for repositories like this one; its id is `manual_{language}_{framework}_{hash12}`."""
    return Template(
        id=template_id(analysis.language, analysis.framework, files.digest()),
        collection=collection,
        language=analysis.language,
        framework=analysis.framework,
        version=analysis.release,
        package_manager=analysis.package_manager,
        build_tool=analysis.build_tool,
        stages_count=stages,
        dependencies=tuple(d.name for d in analysis.dependencies if not d.dev),
        commands=analysis.commands,
        entry_point=analysis.entry_point,
        root=analysis.root,
        pipeline=files.pipeline,
        dockerfile=files.dockerfile,
    )


def template_id(language: str, framework: str | None, digest: str) -> str:
    """The id from language, framework (`none` where there is none) and the first 12 hex digits of the digest."""
    return f"manual_{_token(language)}_{_token(framework or 'none')}_{digest[:12]}"


def _token(text: str) -> str:
    """The text as one token of an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
