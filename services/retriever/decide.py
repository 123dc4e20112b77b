"""Rank the templates for one repository and choose between the three paths; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.retriever import families
from shared.events import Analysis, Candidate, Decision, RepoAnalyzed, Template, TemplateResolved
from shared.fit import assumptions, fit_key
from shared.ports import Wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

# Weights of the structured score; they add up to 100. Language and framework decide first, the package manager
# next: it is what a plain language filter gets wrong most.
WEIGHTS = {"language": 40.0, "framework": 30.0, "package_manager": 15.0, "version": 10.0, "dependencies": 5.0}
# Points that are taken away: for each failure of all uses, and where a healed form of the template is there as well.
PENALTIES = {"failed": -30.0, "superseded": -15.0}
DEPENDENCIES_ASKED = 50


def wanted(analysis: Analysis) -> Wanted:
    """What the store is asked for: what fits, and what is near by the weights of the score below."""
    languages = families.languages_like(analysis.language)
    names = [dependency.name for dependency in analysis.dependencies][:DEPENDENCIES_ASKED]
    likes = {f"language={name}": WEIGHTS["language"] * likeness for name, likeness in languages}
    likes |= {
        f"framework={name}": WEIGHTS["framework"] * likeness
        for name, likeness in families.frameworks_like(analysis.framework)
    }
    likes |= {f"package_manager={analysis.package_manager}": WEIGHTS["package_manager"]}
    likes |= {f"version={analysis.release}": WEIGHTS["version"]}
    likes |= {f"dependency={name}": WEIGHTS["dependencies"] / len(names) for name in names}
    return Wanted(languages=tuple(name for name, _ in languages), fits=fit_key(analysis), likes=likes)


def score(template: Template, analysis: Analysis) -> dict[str, float]:
    """Points by component; the sum is between 0 and 100."""
    likeness = {
        "language": families.language_likeness(template.language, analysis.language),
        "framework": families.framework_likeness(template.framework, analysis.framework),
        "package_manager": families.manager_likeness(template.package_manager, analysis.package_manager),
        "version": _version_likeness(template.version, analysis.release),
        "dependencies": _overlap(template.dependencies, [d.name for d in analysis.dependencies]),
    }
    return {name: round(WEIGHTS[name] * value, 2) for name, value in likeness.items()}


def misfits(template: Template, analysis: Analysis) -> list[str]:
    """Why the template is no direct hit, each as one sentence; empty where it fits.

    It fits where all that it assumes holds in the repository (design, section 1).
    """
    reasons = [f"it has no {name}" for name in ("pipeline", "dockerfile") if getattr(template, name) is None]
    theirs = assumptions(analysis)
    return reasons + [
        f"its {name} is {ours or 'none'}, the repository's is {theirs[name] or 'none'}"
        for name, ours in assumptions(template).items()
        if (ours or None) != (theirs[name] or None)
    ]


def rank(
    templates: Collection[Template], analysis: Analysis, failing: Mapping[str, float] | None = None
) -> list[tuple[Template, Candidate]]:
    """Best first. Between equals: `manual_` ids, then proven ones, then the greater stages_count, then the id.

    `failing`: template → share of failures after it was used; that, and a healed form of it, takes points away.
    """
    healed = {template.supersedes for template in templates if template.supersedes}
    scored = []
    for template in templates:
        components = score(template, analysis)
        if share := (failing or {}).get(template.id):
            components["failed"] = round(PENALTIES["failed"] * share, 2)
        if template.id in healed:
            components["superseded"] = PENALTIES["superseded"]
        total = round(sum(components.values()), 2)
        scored.append((template, Candidate(id=template.id, score=total, components=components)))
    return sorted(scored, key=_order)


def resolve(
    event: RepoAnalyzed, templates: Sequence[Template], *, keep: int, failing: Mapping[str, float] | None = None
) -> TemplateResolved:
    """The decision for one repository with its reasons and the first `keep` candidates."""
    ranked = rank(templates, event.analysis, failing)
    decision, template, reasons = _choose(ranked, event.analysis)
    return TemplateResolved(
        run_id=event.run_id,
        attempt=event.attempt,
        submission=event.submission,
        analysis=event.analysis,
        contents=event.contents,
        decision=decision,
        template=template,
        candidates=tuple(candidate for _, candidate in ranked[:keep]),
        reasons=tuple(reasons),
    )


def _choose(
    ranked: Sequence[tuple[Template, Candidate]], analysis: Analysis
) -> tuple[Decision, Template | None, list[str]]:
    """The first that fits, else the best as a reference, else none."""
    for template, _ in ranked:
        if not misfits(template, analysis):
            return "chromadb-direct", template, [f"{template.id} has both files and fits the repository"]
    usable = [template for template, _ in ranked if (template.pipeline, template.dockerfile) != (None, None)]
    if usable:
        best = usable[0]
        return "chromadb-reference", best, [f"{best.id}: {reason}" for reason in misfits(best, analysis)]
    return "llm-generated", None, [f"there is no template for {analysis.language}"]


def _order(row: tuple[Template, Candidate]) -> tuple[float, bool, bool, int, str]:
    template, candidate = row
    return (
        -candidate.score,
        not template.id.startswith("manual_"),
        template.collection != "successful_pipelines",
        -template.stages_count,
        template.id,
    )


def _version_likeness(ours: str | None, theirs: str | None) -> float:
    """1 for the same major and minor, 0.5 for the same major, else 0."""
    if ours is None or theirs is None:
        return 0.0
    return (0.5 + 0.5 * (ours.split(".")[:2] == theirs.split(".")[:2])) if _major(ours) == _major(theirs) else 0.0


def _overlap(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Jaccard index of two sets of names."""
    union = set(ours) | set(theirs)
    return len(set(ours) & set(theirs)) / len(union) if union else 0.0


def _major(version: str | None) -> str | None:
    return None if version is None else version.split(".", 1)[0]
