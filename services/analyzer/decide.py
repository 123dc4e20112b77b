"""From the names and manifests of a repository to its analysis; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.analyzer.detect import ECOSYSTEMS, SIMPLE, View, is_project, languages, surroundings
from shared.events import Analysis, Evidence, RepoAnalyzed, RepoSubmitted, RunFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.ports import Snapshot

# A project deeper than this, or one after so many, is somebody's example.
PROJECT_DEPTH = 3
MAX_PROJECTS = 30
MAX_DEPENDENCIES = 400
SCRIPTED = frozenset({"javascript", "typescript"})
# So many times the bytes of a program without a manifest make shell scripts the program.
SHELL_FACTOR = 4
# A language whose share of the bytes is below this is a script beside the program.
ASIDE = 0.1


def analyze(snapshot: Snapshot, folder: str = "") -> Analysis:
    """What the repository, or one folder of it, is; language `unknown` where nothing is recognised."""
    view = View.of(snapshot)
    if folder.strip("/"):
        view = view.below(folder.strip("/"))
    main = _whole(view)
    sizes = view.languages
    projects = tuple(_projects(view))
    if not main.manifests and main.language in {"unknown", "static", "shell", *SCRIPTED} | set(sizes) and projects:
        main = _of_projects(main, projects, sizes)
    main = main.model_copy(update={"root": main.root or view.root})
    names = [dependency.name for one in (main, *projects) for dependency in one.dependencies]
    updates: dict[str, Any] = {
        "languages": sizes,
        "existing": surroundings.existing(view),
        "ports": surroundings.ports(view) or main.ports,
        "services": surroundings.needed_services(view, names),
        "system_packages": surroundings.system_packages(view, main.language, names),
        "licence": main.licence or surroundings.licence(view),
        "projects": projects,
        "confidence": _confidence(main, sizes),
        "dependencies": main.dependencies[:MAX_DEPENDENCIES],
        "evidence": (*_evidence(main, sizes), *main.evidence),
    }
    return main.model_copy(update=updates)


def decide(event: RepoSubmitted, snapshot: Snapshot) -> RepoAnalyzed | RunFailed:
    """The next event; a repository without code ends the run."""
    folder = event.subfolder or ""
    if folder and not any(entry.path.startswith(f"{folder}/") for entry in snapshot.tree):
        return failed(event, f"{event.repo_url} has no folder {folder}; check the subfolder that was asked for")
    analysis = analyze(snapshot, folder)
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


def _whole(view: View) -> Analysis:
    """The folder as one project, its sub-folders included."""
    found = [analysis for ecosystem in ECOSYSTEMS if (analysis := ecosystem.detect(view)) is not None]
    sizes = view.languages
    best = max(found, key=lambda analysis: _weight(analysis, sizes), default=None)
    if best is None or not best.manifests:
        simple = [analysis for ecosystem in SIMPLE if (analysis := ecosystem.detect(view)) is not None]
        if simple and (best is None or _overruled(best, simple[0], sizes)):
            return simple[0]
    return best or Analysis()


def _overruled(best: Analysis, simple: Analysis, sizes: Mapping[str, int]) -> bool:
    """Whether pages or scripts are what the folder is: sources without a manifest may be what they load or call."""
    if simple.language == "static":
        return simple.framework is not None or best.language in SCRIPTED
    return sizes.get("shell", 0) > SHELL_FACTOR * sizes.get(best.language, 0)


def _weight(analysis: Analysis, sizes: Mapping[str, int]) -> tuple[bool, bool, float, bool]:
    """Manifests count first, then a framework that is not of JavaScript, then the share of the bytes.

    Many a web application has a package.json for its pages; what serves them is the repository's language.
    """
    share = _share(analysis, sizes)
    serves = analysis.framework is not None and analysis.language not in SCRIPTED and share > 0
    managed = analysis.package_manager is not None and (share > ASIDE or serves or not sizes)
    return managed, serves, share, analysis.package_manager is not None


def _share(analysis: Analysis, sizes: Mapping[str, int]) -> float:
    """The share of the analysis's languages in the bytes of all programs, pages and scripts of the shell left out."""
    family = languages.FAMILIES.get(analysis.language, frozenset({analysis.language}))
    program = {language: size for language, size in sizes.items() if language not in {"static", "shell"}}
    return sum(size for language, size in program.items() if language in family) / max(1, sum(program.values()))


def _projects(view: View) -> Iterable[Analysis]:
    """The projects below the root, each with its own analysis; what lies within another project is part of it."""
    folders = sorted(
        {path.rpartition("/")[0] for path in view.paths if "/" in path and is_project(path.rpartition("/")[2])},
        key=lambda folder: (folder.count("/"), folder),
    )
    taken: list[str] = []
    for folder in folders:
        if folder.count("/") >= PROJECT_DEPTH or len(taken) >= MAX_PROJECTS:
            continue
        inside = view.below(folder)
        analysis = _whole(inside)
        if analysis.manifests:
            taken.append(folder)
            yield analysis.model_copy(update={"root": inside.root, "dependencies": analysis.dependencies[:50]})


def _of_projects(main: Analysis, projects: tuple[Analysis, ...], sizes: Mapping[str, int]) -> Analysis:
    """The repository as its projects make it: the only one is it; of several, the one whose language has most."""
    first = max(projects, key=lambda one: (_share(one, sizes), one.framework is not None, -one.root.count("/")))
    if main.language in {"static", "shell"} and main.framework:
        return main
    if len(projects) == 1 or len({one.language for one in projects}) == 1:
        return first
    return first.model_copy(
        update={"doubts": (*first.doubts, f"there are {len(projects)} projects and none at the root")}
    )


def _evidence(analysis: Analysis, sizes: Mapping[str, int]) -> Iterable[Evidence]:
    """What speaks for the language and for the package manager."""
    below = f"{analysis.root}/" if analysis.root else ""
    if analysis.manifests:
        named = next((path for path in analysis.manifests if is_project(path)), analysis.manifests[0])
        yield Evidence(source=below + named, about="language")
    elif sizes:
        yield Evidence(source="", text=f"{100 * _share(analysis, sizes):.0f} % of the bytes", about="language")
    said = analysis.lockfile or next(iter(analysis.manifests), analysis.entry_point)
    if analysis.package_manager and said:
        yield Evidence(source=below + said, about="package_manager")


def _confidence(analysis: Analysis, sizes: Mapping[str, int]) -> float:
    """How sure the analysis is: manifests, a lockfile, a version and a clear majority of bytes each add to it."""
    if analysis.language == "unknown":
        return 0.0
    points = 0.3 + 0.3 * bool(analysis.manifests) + 0.1 * bool(analysis.lockfile) + 0.1 * bool(analysis.version)
    points += 0.2 * _share(analysis, sizes) - 0.1 * len(analysis.doubts)
    return round(max(0.05, min(1.0, points)), 2)
