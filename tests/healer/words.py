"""What tools print when they fail, by class: written by hand in the formats of many tools, a blank line between."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "words"


def words() -> list[tuple[str, str]]:
    """Each class with each of its cases."""
    return [(path.stem, case) for path in sorted(FOLDER.glob("*.txt")) for case in cases(path)]


def cases(path: Path) -> list[str]:
    """The cases in one file."""
    return [case.strip("\n") for case in path.read_text().split("\n\n") if case.strip()]


def framed(case: str) -> str:
    """The trace of a GitLab job that ended with these lines."""
    return (
        'section_start:1700000000:step_script\r\x1b[0K\x1b[0KExecuting "step_script" stage of the job script\n'
        f"\x1b[32;1m$ run it\x1b[0;m\nall well so far\n{case}\nsection_end:1700000009:step_script\r\x1b[0K"
        "section_start:1700000009:cleanup_file_variables\r\x1b[0K\x1b[0KCleaning up project directory\n"
        "section_end:1700000010:cleanup_file_variables\r\x1b[0K\x1b[31;1mERROR: Job failed: exit code 1\x1b[0;m\n"
    )
