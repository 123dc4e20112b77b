"""What is printed for people: what they copy is whole, and what they look for comes first."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console, RenderableType

from greenrun import view
from shared.ci.gate import gate
from shared.events import Job, Pipeline, Submission, new_run_id
from shared.history import Run
from tests.test_history import FAILED

MORNING = datetime(2026, 1, 2, 8, tzinfo=UTC)


def printed(what: RenderableType) -> str:
    """What a terminal of 80 columns shows."""
    screen = io.StringIO()
    Console(file=screen, width=80).print(what)
    return screen.getvalue()


def test_the_id_of_a_run_is_never_broken() -> None:
    """A person copies it, a script looks for it."""
    url = "https://gitlab.example.com/platform/tools/a-long-name.git"
    run = Run(
        run_id=new_run_id(),
        status="committed",
        phase="template.stored",
        attempt=1,
        decision="chromadb-reference",
        started=MORNING,
        updated=MORNING,
        submission=Submission(repo_url=url),
    )
    assert any(run.run_id in line for line in printed(view.runs_table([run])).splitlines())


def test_a_job_that_ran_again_stays_in_its_place() -> None:
    """Its id is the highest; its stage comes before the later ones all the same, and stages of one's own come last."""
    jobs = [
        Job(id=9, name="compile", stage="compile", status="success"),
        Job(id=2, name="test", stage="test", status="success"),
        Job(id=3, name="deploy", stage="deploy", status="success"),
        Job(id=4, name="learn", stage="learn", status="success"),
    ]
    stages = [line.split()[0] for line in printed(view.jobs_by_stage(jobs)).splitlines()]
    assert stages == ["compile", "test", "learn", "deploy"]


def test_the_job_that_failed_is_named_before_those_that_waited_for_it() -> None:
    """Two reasons stand on the line of the event; GitLab lists a job that ran again last."""
    jobs = (
        Job(id=2, name="push", stage="push", status="skipped"),
        Job(id=3, name="learn", stage="learn", status="skipped"),
        Job(id=9, name="test", stage="test", status="failed", failure_reason="script_failure"),
    )
    pipeline = Pipeline(id=1, status="failed", jobs=jobs, reasons=gate(jobs, {}))
    said = view.say(FAILED.model_copy(update={"pipeline": pipeline}))
    assert said == "failed; test in stage test is failed (script_failure); push in stage push is skipped"
