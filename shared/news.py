"""What a webhook of GitLab tells of a pipeline: a live message from the gateway to the monitors, in no stream.

It is a hint that something is worth a look, never a fact: the monitor asks GitLab itself before it says anything.
"""

from __future__ import annotations

from shared.events import Fact

SUBJECT = "live.gitlab"
EVERY_SUBJECT = f"{SUBJECT}.*.*"


class News(Fact):
    """A pipeline has this status now; `job` is set where it is one of its jobs that has changed."""

    project_id: int
    pipeline_id: int
    sha: str
    status: str
    job: str | None = None

    @property
    def subject(self) -> str:
        """`live.gitlab.<project>.<pipeline>`."""
        return f"{SUBJECT}.{self.project_id}.{self.pipeline_id}"
