"""What a list keeps and says of a run; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.events import Analysis, Evidence

if TYPE_CHECKING:
    from shared.history import Run

REASON_SHOWN = 500


def slim(run: Run) -> Run:
    """The run as the list keeps it: without files, images, jobs and evidence. Folding on gives the same list."""
    analysis, pipeline, failure = run.analysis, run.pipeline, run.failure
    return run.model_copy(
        update={
            "files": None,
            "images": (),
            "rounds": (),
            "timeline": run.timeline[-1:],
            "analysis": analysis and Analysis(language=analysis.language, framework=analysis.framework),
            "pipeline": pipeline and pipeline.model_copy(update={"jobs": (), "yaml_errors": None, "reasons": ()}),
            "repairs": tuple(r.model_copy(update={"diff": "", "evidence": Evidence(source="")}) for r in run.repairs),
            "failure": failure
            and failure.model_copy(
                update={"reason": failure.reason[:REASON_SHOWN], "evidence": "", "repairs": (), "rounds": ()}
            ),
        }
    )


def project_of(run: Run) -> str | None:
    """The project that a run is about: where it committed, else where it was to, else the repository's own path."""
    if run.commit:
        return run.commit.project_path
    if run.submission is None:
        return None
    return run.submission.project or _path_of(run.submission.repo_url)


def _path_of(url: str) -> str:
    """`group/name` of `https://host/group/name.git` and `git@host:group/name.git`."""
    _, scheme, rest = url.partition("://")
    path = rest.partition("/")[2] if scheme else url.partition(":")[2] or url
    return path.strip("/").removesuffix(".git")
