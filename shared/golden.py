"""Golden templates: what a platform team puts in front, checked before it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ci.lint import check, errors
from shared.ci.parameters import NO_REGISTRY, with_registry
from shared.ci.stages import STAGES
from shared.errors import Reject
from shared.template import template_for

if TYPE_CHECKING:
    from shared.events import Analysis, Files, Template

COLLECTION = "pipeline_templates"
FINDINGS_SHOWN = 20


def golden(files: Files, analysis: Analysis, disabled: frozenset[str] = frozenset()) -> Template:
    """The template of these files for repositories like this one; Reject where the checks refuse them."""
    neutral = with_registry(files, NO_REGISTRY)
    if found := errors(check(neutral, registry=NO_REGISTRY, disabled=disabled)):
        listed = "\n".join(f"  {finding}" for finding in found[:FINDINGS_SHOWN])
        raise Reject(f"the files are refused:\n{listed}")
    return template_for(analysis, neutral, collection=COLLECTION, stages=len(STAGES))
