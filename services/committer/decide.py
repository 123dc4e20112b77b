"""Where the files go and what the commit says; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from shared.ci.lint import check
from shared.events import (
    CommitCreated,
    ImagesSeeded,
    Pipeline,
    PipelineFailed,
    Proposal,
    RunFailed,
    Submission,
    run_time,
)
from shared.merge_request import Report
from shared.ports import FileChange, Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from shared.events import Commit, MergeRequest
    from shared.ports import Project

TRAILER = "Greenrun-Event"
PIPELINE_FILE = ".gitlab-ci.yml"
LINE = 100
MAX_YAML_ERRORS = 4000
# How far GitLab's clock may be behind ours: a commit of this run is not looked for before that.
CLOCK_SKEW = timedelta(days=1)
SKIP_CI_LINE = "[skip ci]"
DEFAULT_PORTS = {"http": 80, "https": 443}
# GitLab's own pattern for a commit that starts no pipeline (Gitlab::Ci::Pipeline::Chain::Skip).
SKIP_CI = re.compile(r"\[(ci[ _-]skip|skip[ _-]ci)\]", re.IGNORECASE)


@dataclass(frozen=True)
class Held:
    """What the branch holds before the commit; `start_branch` is what it begins from where it does not exist."""

    start_branch: str | None = None
    contents: Mapping[str, str] = field(default_factory=dict)
    last_commits: Mapping[str, str] = field(default_factory=dict)


def project_path(submission: Submission, gitlab_url: str) -> str | None:
    """The project that was named, else the repository itself where it lies on this GitLab; else None.

    It may be named by its id, its path or its address.
    """
    named = submission.project
    return named if named and ":" not in named else _path_on(gitlab_url, named or submission.repo_url)


def _path_on(gitlab_url: str, url: str) -> str | None:
    """The path of the project with this address on this GitLab.

    Over http(s) host and port must be GitLab's, the scheme may differ; over ssh the host alone tells.
    """
    ours = urlsplit(gitlab_url)
    if "://" not in url:  # scp-like: git@host:group/name.git
        host, _, path = url.partition(":")
        return _trimmed(path) if host.rpartition("@")[2].lower() == ours.hostname else None
    theirs = urlsplit(url)
    if theirs.scheme == "ssh":
        return _trimmed(theirs.path) if theirs.hostname == ours.hostname else None
    if theirs.scheme not in DEFAULT_PORTS or _place(theirs) != _place(ours):
        return None
    below = ours.path.rstrip("/") + "/"
    return _trimmed(theirs.path.removeprefix(below)) if theirs.path.startswith(below) else None


def branch_name(run_id: str, prefix: str) -> str:
    """`feature/ai-pipeline-{timestamp}` with the run's own time (UTC, to the millisecond).

    Every attempt and every repetition of a run meets the same branch.
    """
    time = run_time(run_id)
    return f"{prefix}{time:%Y%m%d%H%M%S}{time.microsecond // 1000:03d}"


def branch_of(event: ImagesSeeded, prefix: str) -> str:
    """The branch that the submission names, else the run's own."""
    return event.proposal.submission.branch or branch_name(event.run_id, prefix)


def looked_for_since(run_id: str) -> datetime:
    """The time before which no commit can be of this run."""
    return run_time(run_id) - CLOCK_SKEW


def trailer(event_id: str) -> str:
    """The line by which a commit of this event is found again."""
    return f"{TRAILER}: {event_id}"


def message(event: ImagesSeeded, run: str) -> Message:
    """The commit's message: the tag says what really wrote the files, the trailer makes it idempotent.

    `run` is the run's page or its id.

    No line of a job's trace enters it: history keeps for ever what a trace may have leaked.
    """
    proposal = event.proposal
    new_repairs = [repair for repair in proposal.repairs if repair.attempt == event.attempt]
    title = new_repairs[-1].summary if new_repairs else "GitLab CI pipeline and Dockerfile"
    body = [f"Decision: {proposal.decision}", f"Origin: {proposal.origin}"]
    body += [f"Template: {proposal.template_id}"] if proposal.template_id else []
    body += [f"Model: {proposal.model}"] if proposal.model else []
    body += [f"Repair: {one.error_class} in {one.job}: {one.strategy}, by {one.author}" for one in new_repairs]
    lines = [f"{proposal.tag} {_line(title)}", "", *map(_line, body), f"Run: {run}"]
    lines += ["", SKIP_CI_LINE] if proposal.submission.skip_ci else []
    return Message("\n".join([*lines, "", trailer(event.subject)]), proposal.submission.author)


def changes(proposal: Proposal, held: Held) -> list[FileChange]:
    """Create or update per file, by what the branch holds; a file that is there unchanged is left out.

    Where both are there unchanged, the pipeline file is written all the same: GitLab takes the empty commit, and only
    a commit starts a pipeline.
    """
    files = proposal.files.by_path()
    wanted = [path for path, content in files.items() if held.contents.get(path) != content] or [PIPELINE_FILE]
    return [
        FileChange("update" if path in held.contents else "create", path, files[path], held.last_commits.get(path))
        for path in wanted
    ]


def created(
    event: ImagesSeeded, commit: Commit, *, new: bool, merge_request: MergeRequest | None = None
) -> CommitCreated:
    """The next event; `new` where this delivery made the commit."""
    return CommitCreated(
        run_id=event.run_id,
        attempt=event.attempt,
        proposal=event.proposal,
        images=event.images,
        commit=commit,
        merge_request=merge_request,
        created=new,
    )


def refused(event: ImagesSeeded, complaints: Sequence[str]) -> PipelineFailed:
    """GitLab's lint says no: a failed attempt for the healer, and nothing in the repository's history."""
    words = "; ".join(complaints)[:MAX_YAML_ERRORS]
    reason = f"GitLab's lint refuses the file, nothing was committed: {words}"
    return PipelineFailed(
        run_id=event.run_id,
        attempt=event.attempt,
        proposal=event.proposal,
        images=event.images,
        outcome="yaml_error",
        pipeline=Pipeline(status="none", yaml_errors=words, reasons=(reason,)),
    )


def unmergeable(event: ImagesSeeded, project: Project, branch: str) -> RunFailed | None:
    """The end of a run that asked for a merge request where there can be none; known before anything is committed."""
    if not event.proposal.submission.merge_request or project.default_branch not in {None, branch}:
        return None
    why = "has no branch to merge into" if project.default_branch is None else f"would merge {branch} into itself"
    reason = f"{project.path} {why}; submit without the merge request, or to another branch (--branch)"
    return RunFailed(run_id=event.run_id, attempt=event.attempt, phase="committer", reason=reason)


def findings(event: ImagesSeeded, registry: str) -> tuple[str, ...]:
    """What the checker has to say about the files, one sentence each."""
    return tuple(map(str, check(event.proposal.files, registry=registry)))


def report(event: ImagesSeeded, commit: Commit) -> Report:
    """The state that the merge request's comment shows after the commit."""
    what = "its pipeline runs again" if event.proposal.rerun else "its pipeline is awaited"
    what = "no pipeline was wanted" if event.proposal.submission.skip_ci else what
    return Report(event.attempt, "committed", f"Attempt {event.attempt}: commit {commit.sha[:8]}, {what}")


def nowhere(event: ImagesSeeded, gitlab_url: str) -> RunFailed:
    """The end of a run whose repository lies elsewhere, and that named no project on this GitLab."""
    url = event.proposal.submission.project or event.proposal.submission.repo_url
    reason = f"{url} is not on {gitlab_url}, so there is nowhere to commit to; "
    reason += "name a project with --project group/name, and have it made with --create-project"
    return RunFailed(run_id=event.run_id, attempt=event.attempt, phase="committer", reason=reason)


def _place(url: SplitResult) -> tuple[str | None, int | None]:
    """Host and port; a scheme's default port counts as none."""
    return url.hostname, None if url.port == DEFAULT_PORTS.get(url.scheme) else url.port


def _trimmed(path: str) -> str | None:
    """A project's path without what a link to a page of it has behind `/-/`."""
    return unquote(path).partition("/-/")[0].strip("/").removesuffix(".git").strip("/") or None


def _line(text: str) -> str:
    """One short line that starts with no trailer and does not keep GitLab from running the pipeline."""
    return SKIP_CI.sub(r"(\1)", " ".join(text.split()))[:LINE]
