"""From the names and manifests of a repository to its analysis; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.analyzer.detect import ECOSYSTEMS, View, languages
from shared.events import Analysis, RepoAnalyzed, RepoSubmitted, RunFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ports import Snapshot

EXISTING = (".gitlab-ci.yml", "Dockerfile", ".dockerignore", "docker-compose.yml", "compose.yaml", ".github/workflows")


def analyze(snapshot: Snapshot) -> Analysis:
    """What the repository is; language `unknown` where no ecosystem that is known here recognises it."""
    view = View(snapshot)
    sizes = languages.by_bytes(view.sizes)
    found = [analysis for ecosystem in ECOSYSTEMS if (analysis := ecosystem.detect(view)) is not None]
    best = max(found, key=lambda analysis: _weight(analysis, sizes), default=Analysis())
    if best.language != "unknown" and _foreign(best, sizes):
        best = Analysis()
    existing = [name for name in EXISTING if any(p == name or p.startswith(f"{name}/") for p in view.paths)]
    updates = {"languages": sizes, "existing": tuple(existing), "ports": view.exposed_ports()}
    return best.model_copy(update=updates)


def decide(event: RepoSubmitted, snapshot: Snapshot) -> RepoAnalyzed | RunFailed:
    """The next event; a repository without code ends the run."""
    analysis = analyze(snapshot)
    if analysis.language == "unknown" and not analysis.languages:
        files = len(snapshot.tree)
        reason = f"{event.repo_url} has no source code: none of its {files} files is of a language or a manifest"
        return failed(event, f"{reason} that is known; nothing can be built")
    return RepoAnalyzed(
        run_id=event.run_id,
        attempt=event.attempt,
        submission=event.submission,
        commit_sha=snapshot.commit_sha,
        analysis=analysis,
    )


def failed(event: RepoSubmitted, reason: str, evidence: str = "") -> RunFailed:
    """The end of the run, with the reason."""
    return RunFailed(run_id=event.run_id, attempt=event.attempt, phase="analyzer", reason=reason, evidence=evidence)


def _weight(analysis: Analysis, sizes: Mapping[str, int]) -> tuple[bool, bool, int]:
    """Manifests count most, then a framework, then the bytes of the language."""
    family = {"javascript", "typescript"} if analysis.language in {"javascript", "typescript"} else {analysis.language}
    own = sum(size for language, size in sizes.items() if language in family)
    return bool(analysis.dependencies or analysis.lockfile), analysis.framework is not None, own


def _foreign(analysis: Analysis, sizes: Mapping[str, int]) -> bool:
    """Whether the repository is mostly of a language that no ecosystem here stands for, beside a bare script or two."""
    known = {language for ecosystem in ECOSYSTEMS for language in ecosystem.LANGUAGES} | {"static", "shell"}
    strangers = sum(size for language, size in sizes.items() if language not in known)
    own = sum(size for language, size in sizes.items() if language in known - {"static", "shell"})
    return not analysis.dependencies and strangers > own
