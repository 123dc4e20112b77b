"""Turn a passed pipeline into a template; pure."""

from __future__ import annotations

from shared.ci.gate import gate, whens
from shared.ci.parameters import generalised
from shared.events import PipelinePassed, Proposal, Provenance, Template, TemplateStored
from shared.template import template_for

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


def unproven(event: PipelinePassed) -> tuple[str, ...]:
    """Why the files of this event are not proven, job by job: the gate once more; empty where they are."""
    return gate(event.pipeline.jobs, whens(event.proposal.files))


def stored(event: PipelinePassed, template: Template, *, new: bool) -> TemplateStored:
    """The fact that the template is in the store."""
    return TemplateStored(
        run_id=event.run_id,
        attempt=event.attempt,
        template_id=template.id,
        collection=template.collection,
        existed=not new,
    )
