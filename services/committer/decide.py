"""Where the files go and what the commit says; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from shared.events import CommitCreated, ImagesSeeded, Proposal, RunFailed, Submission, run_time
from shared.ports import FileChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.events import Commit

TRAILER = "Greenrun-Event"
PIPELINE_FILE = ".gitlab-ci.yml"
LINE = 100
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

    Over http(s) host and port must be GitLab's, the scheme may differ; over ssh the host alone tells.
    """
    if submission.project:
        return submission.project
    ours, url = urlsplit(gitlab_url), submission.repo_url
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


def trailer(event_id: str) -> str:
    """The line by which a commit of this event is found again."""
    return f"{TRAILER}: {event_id}"


def message(proposal: Proposal, event_id: str, attempt: int) -> str:
    """The commit's message: the tag says what really wrote the files, the trailer makes it idempotent.

    No line of a job's trace enters it: history keeps for ever what a trace may have leaked.
    """
    new_repairs = [repair for repair in proposal.repairs if repair.attempt == attempt]
    title = new_repairs[-1].summary if new_repairs else "GitLab CI pipeline and Dockerfile"
    body = [f"Decision: {proposal.decision}", f"Origin: {proposal.origin}"]
    body += [f"Template: {proposal.template_id}"] if proposal.template_id else []
    body += [f"Model: {proposal.model}"] if proposal.model else []
    body += [f"Repair: {one.error_class} in {one.job}: {one.strategy}, by {one.author}" for one in new_repairs]
    return "\n".join([f"{proposal.tag} {_line(title)}", "", *map(_line, body), "", trailer(event_id)])


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


def created(event: ImagesSeeded, commit: Commit, *, new: bool) -> CommitCreated:
    """The next event; `new` where this delivery made the commit."""
    return CommitCreated(
        run_id=event.run_id,
        attempt=event.attempt,
        proposal=event.proposal,
        images=event.images,
        commit=commit,
        created=new,
    )


def nowhere(event: ImagesSeeded, gitlab_url: str) -> RunFailed:
    """The end of a run whose repository lies elsewhere and that named no project."""
    url = event.proposal.submission.repo_url
    reason = f"{url} is not on {gitlab_url}, so there is nowhere to commit to; name a project with --project"
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
