"""Turn a passed pipeline into a template; pure."""

from __future__ import annotations

import re

from shared.ci.gate import gate, whens
from shared.ci.parameters import generalised
from shared.events import Analysis, Files, PipelinePassed, Proposal, Provenance, Template, TemplateStored

COLLECTION = "successful_pipelines"


def template_of(event: PipelinePassed) -> Template:
    """The proven files as a template, with where they come from."""
    files = generalised(event.proposal.files, event.commit.project_path, event.proposal.submission.repo_url)
    stages = len({job.stage for job in event.pipeline.jobs})
    provenance = Provenance(
        run_id=event.run_id,
        project_path=event.commit.project_path,
        commit_sha=event.commit.sha,
        pipeline_id=event.pipeline.id,
        attempts=event.attempt,
        origin=event.proposal.origin,
        template_id=event.proposal.template_id,
        duration=event.pipeline.duration,
    )
    template = template_for(event.proposal.analysis, files, collection=COLLECTION, stages=stages)
    return template.model_copy(update={"provenance": provenance, "supersedes": _superseded(event.proposal)})


def remembering(template: Template, known: Template | None) -> Template:
    """The template with what is known of the same files from before: which one they are the healed form of."""
    before = known.supersedes if known else None
    return template if template.supersedes or not before else template.model_copy(update={"supersedes": before})


def _superseded(proposal: Proposal) -> str | None:
    """The template that was used as it was, and had to be repaired."""
    healed = any(repair.diff for repair in proposal.repairs)
    return proposal.template_id if healed and proposal.decision == "chromadb-direct" else None


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


def unproven(event: PipelinePassed) -> tuple[str, ...]:
    """Why the files of this event are not proven, job by job: the gate once more; empty where they are."""
    return gate(event.pipeline.jobs, whens(event.proposal.files))


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
