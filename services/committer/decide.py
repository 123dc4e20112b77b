"""Where the files go and what the commit says; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.events import Proposal, Submission, run_time
from shared.ports import FileChange

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAILER = "Greenrun-Event"


def project_path(submission: Submission, gitlab_url: str) -> str | None:
    """The project that was named, else the repository itself where it lies on this GitLab; else None."""
    if submission.project:
        return submission.project
    ours = urlsplit(gitlab_url)
    url = submission.repo_url
    if "://" not in url and ":" in url:  # scp-like: git@host:group/name.git
        host, _, path = url.partition(":")
        return _trimmed(path) if host.rpartition("@")[2] == ours.hostname else None
    theirs = urlsplit(url)
    same = theirs.hostname == ours.hostname if theirs.scheme == "ssh" else theirs.netloc == ours.netloc
    path = theirs.path.removeprefix(ours.path.rstrip("/")) if theirs.scheme != "ssh" else theirs.path
    return _trimmed(path) if same else None


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
    """The commit's message: the tag says what really wrote the files, the trailer makes it idempotent."""
    new_repairs = [repair for repair in proposal.repairs if repair.attempt == attempt]
    title = new_repairs[-1].summary if new_repairs else "GitLab CI pipeline and Dockerfile"
    body = [f"Decision: {proposal.decision}"]
    body += [f"Template: {proposal.template_id}"] if proposal.template_id else []
    body += [f"Model: {proposal.model}"] if proposal.model else []
    for repair in new_repairs:
        body.append(f"Repairs {repair.error_class} in {repair.job} ({repair.strategy}, by {repair.author}):")
        body.append(f"  {' '.join(repair.evidence.text.split())[:200]}")
    return "\n".join([f"{proposal.tag} {_one_line(title)}", "", *body, "", trailer(event_id)])


def changes(proposal: Proposal, existing: Mapping[str, str]) -> list[FileChange]:
    """Create or update per file, by what the branch holds; a file that is there unchanged is left out.

    Where both are there unchanged, the pipeline file is written all the same: GitLab starts the pipeline on a commit.
    """
    files = proposal.files.by_path()
    wanted = [
        FileChange("update" if path in existing else "create", path, content)
        for path, content in files.items()
        if existing.get(path) != content
    ]
    pipeline_file = ".gitlab-ci.yml"
    return wanted or [FileChange("update", pipeline_file, files[pipeline_file])]


def _trimmed(path: str) -> str | None:
    return path.strip("/").removesuffix(".git").strip("/") or None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:100]
