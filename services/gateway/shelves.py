"""What lies beside the runs: templates, and what a repository would be analyzed as."""

from __future__ import annotations

from aiohttp import web

from services.gateway import decide
from services.gateway.documents import (
    AnalysisDocument,
    AnalysisQuery,
    Golden,
    StoredDocument,
    TemplateRow,
    TemplatesDocument,
    TemplatesQuery,
)
from services.gateway.problems import Refused
from services.gateway.state import GATEWAY
from shared.errors import Retry
from shared.events import Files
from shared.golden import golden
from shared.questions import ANALYSIS, Look, Seen

# A clone may take CLONE_TIMEOUT (120 s); a person looks at this one.
ANALYSIS_SECONDS = 60.0


async def list_templates(request: web.Request) -> web.Response:
    """All templates, or those of a language, without their files."""
    query = decide.query_of(TemplatesQuery, request.query)
    names = set(TemplateRow.model_fields)
    rows = [
        TemplateRow.model_validate(template.model_dump(include=names))
        async for template in request.app[GATEWAY].templates.every(files=False)
        if query.language in {None, template.language}
    ]
    answer = TemplatesDocument(templates=sorted(rows, key=lambda row: row.id))
    return web.json_response(text=answer.model_dump_json())


async def show_template(request: web.Request) -> web.Response:
    """One template with both files and where it comes from."""
    template_id = request.match_info["template_id"]
    found = await request.app[GATEWAY].templates.get(template_id)
    if found is None:
        raise _no_template(template_id)
    return web.json_response(text=found.model_dump_json())


async def add_template(request: web.Request) -> web.Response:
    """201 for a golden template that is new, 200 for one that was there; 422 where the checks refuse the files."""
    wanted, gateway = decide.body_of(Golden, await request.read()), request.app[GATEWAY]
    files = Files(pipeline=wanted.pipeline, dockerfile=wanted.dockerfile)
    template = golden(files, wanted.analysis, gateway.settings.disabled_rules)
    new = await gateway.templates.put(template)
    answer = StoredDocument(id=template.id, collection=template.collection, new=new)
    return web.json_response(text=answer.model_dump_json(), status=201 if new else 200)


async def remove_template(request: web.Request) -> web.Response:
    """204 once it is gone."""
    template_id = request.match_info["template_id"]
    if not await request.app[GATEWAY].templates.remove(template_id):
        raise _no_template(template_id)
    return web.Response(status=204)


def _no_template(template_id: str) -> Refused:
    return Refused(404, f"there is no template {template_id[:100]!r}; GET /api/v1/templates lists them")


async def analyze(request: web.Request) -> web.Response:
    """What the analyzer finds in a repository; a dry run, which no run comes of."""
    query = decide.query_of(AnalysisQuery, request.query)
    look = Look(repo_url=query.repo_url, ref=query.ref, subfolder=query.subfolder)
    said = await request.app[GATEWAY].bus.question(ANALYSIS, look.model_dump(), seconds=ANALYSIS_SECONDS)
    seen = Seen.model_validate(said)
    if seen.busy:
        raise Retry(seen.refusal)
    if seen.analysis is None:
        raise Refused(422, seen.refusal)
    answer = AnalysisDocument(repo_url=query.repo_url, commit_sha=seen.commit_sha, analysis=seen.analysis)
    return web.json_response(text=answer.model_dump_json())
