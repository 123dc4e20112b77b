"""Facts that many tests start from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.events import (
    Analysis,
    Commands,
    Commit,
    Dependency,
    Event,
    Files,
    Job,
    Pipeline,
    PipelinePassed,
    Proposal,
    RepoAnalyzed,
    Submission,
    Template,
    new_run_id,
)

RUN = new_run_id()
SUBMISSION = Submission(repo_url="https://gitlab.example/shop/web.git")
FLASK = Analysis(
    language="python",
    framework="flask",
    version="3.12",
    release="3.12",
    package_manager="pip",
    dependencies=(Dependency(name="flask", constraint="==3.1"), Dependency(name="pytest", dev=True)),
    commands=Commands(install="pip install -r requirements.txt", test="pytest", start="gunicorn app:app"),
    entry_point="app.py",
)
FILES = Files(pipeline="stages: [compile]\n", dockerfile="FROM scratch\n")
ANALYZED = RepoAnalyzed(run_id=RUN, submission=SUBMISSION, commit_sha="0" * 40, analysis=FLASK)
PROPOSAL = Proposal(
    submission=SUBMISSION, analysis=FLASK, decision="llm-generated", origin="rules", model=None, files=FILES
)
COMMIT = Commit(project_id=1, project_path="shop/web", branch="feature/x", sha="1" * 40, web_url="http://gitlab/c/1")
PASSED = PipelinePassed(
    run_id=RUN,
    proposal=PROPOSAL,
    commit=COMMIT,
    pipeline=Pipeline(
        id=7, status="success", jobs=tuple(Job(id=n, name=f"j{n}", stage=f"s{n}", status="success") for n in range(9))
    ),
)


def template(**changes: object) -> Template:
    """A template that fits FLASK, with these changes."""
    fitting: dict[str, object] = {
        "id": "golden",
        "collection": "pipeline_templates",
        "language": FLASK.language,
        "framework": FLASK.framework,
        "version": FLASK.version,
        "package_manager": FLASK.package_manager,
        "stages_count": 9,
        "dependencies": ("flask",),
        "commands": FLASK.commands,
        "entry_point": FLASK.entry_point,
        "pipeline": FILES.pipeline,
        "dockerfile": FILES.dockerfile,
    }
    return Template.model_validate(fitting | changes)


START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Stored:
    """An event with its place in the log."""

    event: Event
    sequence: int

    @property
    def time(self) -> datetime:
        """One second after the event before it."""
        return START + timedelta(seconds=self.sequence)
