"""Turn a passed pipeline into a template; pure."""

from __future__ import annotations

import re

from shared.events import PipelinePassed, Template, TemplateStored

COLLECTION = "successful_pipelines"


def template_of(event: PipelinePassed) -> Template:
    """The proven files as a template with the id `manual_{language}_{framework}_{hash12}` (the seed's form)."""
    proposal, analysis = event.proposal, event.proposal.analysis
    return Template(
        id=template_id(analysis.language, analysis.framework, proposal.files.digest()),
        collection=COLLECTION,
        language=analysis.language,
        framework=analysis.framework,
        version=analysis.release,
        package_manager=analysis.package_manager,
        build_tool=analysis.build_tool,
        stages_count=len({job.stage for job in event.pipeline.jobs}),
        dependencies=tuple(d.name for d in analysis.dependencies if not d.dev),
        commands=analysis.commands,
        entry_point=analysis.entry_point,
        root=analysis.root,
        pipeline=proposal.files.pipeline,
        dockerfile=proposal.files.dockerfile,
    )


def template_id(language: str, framework: str | None, digest: str) -> str:
    """The id from language, framework (`none` where there is none) and the first 12 hex digits of the digest."""
    return f"manual_{_token(language)}_{_token(framework or 'none')}_{digest[:12]}"


def stored(event: PipelinePassed, template: Template, *, new: bool) -> TemplateStored:
    """The fact that the template is in the store."""
    return TemplateStored(
        run_id=event.run_id,
        attempt=event.attempt,
        template_id=template.id,
        collection=template.collection,
        existed=not new,
    )


def _token(text: str) -> str:
    """The text as one token of an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
