"""Rank the templates for one repository and choose between the three paths; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.retriever import families
from shared.events import Analysis, Candidate, Decision, RepoAnalyzed, Template, TemplateResolved
from shared.ports import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Weights of the structured score; they add up to 100. Language and framework decide first, the package manager
# next: it is what a plain language filter gets wrong most.
WEIGHTS = {"language": 40.0, "framework": 30.0, "package_manager": 15.0, "version": 10.0, "dependencies": 5.0}


def wanted(analysis: Analysis) -> Wanted:
    """What the store is asked for: languages and frameworks by their nearness, and the weights of the score below."""
    languages = families.languages_like(analysis.language)
    frameworks = families.frameworks_like(analysis.framework)
    levels = sorted({likeness for _, likeness in frameworks}, reverse=True)
    names = [dependency.name for dependency in analysis.dependencies][:50]
    likes = {f"language={name}": WEIGHTS["language"] * likeness for name, likeness in languages}
    likes |= {f"framework={name}": WEIGHTS["framework"] * likeness for name, likeness in frameworks}
    likes |= {f"package_manager={analysis.package_manager}": WEIGHTS["package_manager"]}
    likes |= {f"version={analysis.release}": WEIGHTS["version"]}
    likes |= {f"dependency={name}": WEIGHTS["dependencies"] / len(names) for name in names}
    return Wanted(
        languages=tuple(name for name, _ in languages),
        package_manager=analysis.package_manager,
        frameworks=tuple(tuple(name for name, one in frameworks if one == level) for level in levels),
        likes=likes,
    )


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
    for name in ("language", "framework", "package_manager", "build_tool", "entry_point"):
        reasons += _differs(name, getattr(template, name), getattr(analysis, name))
    for name in type(analysis.commands).model_fields:
        reasons += _differs(f"{name} command", getattr(template.commands, name), getattr(analysis.commands, name))
    if template.root != analysis.root:
        reasons.append(f"it builds the folder {template.root or '/'}, the project is in {analysis.root or '/'}")
    if _major(template.version) != _major(analysis.release):
        reasons.append(f"it is for version {template.version}, the repository wants {analysis.release}")
    return reasons


def rank(templates: Iterable[Template], analysis: Analysis) -> list[tuple[Template, Candidate]]:
    """Best first. Between equals: `manual_` ids, then proven ones, then the greater stages_count, then the id."""
    scored = []
    for template in templates:
        components = score(template, analysis)
        total = round(sum(components.values()), 2)
        scored.append((template, Candidate(id=template.id, score=total, components=components)))
    return sorted(scored, key=_order)


def resolve(event: RepoAnalyzed, templates: Sequence[Template], *, keep: int) -> TemplateResolved:
    """The decision for one repository with its reasons and the first `keep` candidates."""
    ranked = rank(templates, event.analysis)
    decision, template, reasons = _choose(ranked, event.analysis)
    return TemplateResolved(
        run_id=event.run_id,
        attempt=event.attempt,
        submission=event.submission,
        analysis=event.analysis,
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
    usable = [template for template, _ in ranked if template.pipeline or template.dockerfile]
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


def _differs(name: str, ours: object, theirs: object) -> list[str]:
    label = name.replace("_", " ")
    if ours == theirs:
        return []
    return [f"its {label} is {ours or 'none'}, the repository's is {theirs or 'none'}"]
