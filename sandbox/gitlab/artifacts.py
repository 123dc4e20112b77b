"""What jobs leave behind: one archive for each, the reports beside it, and the variables for later jobs."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ARCHIVE, DOTENV = "artifacts.zip", "dotenv.json"


class Artifacts:
    """One folder with a folder for each job."""

    def __init__(self, folder: Path) -> None:
        """The folder is made with the first archive."""
        self._folder = folder

    def place(self, job: int) -> Path:
        """Where the archive of a job is written; its folder exists afterwards."""
        path = self._folder / str(job)
        path.mkdir(parents=True, exist_ok=True)
        return path / ARCHIVE

    def archive(self, job: int) -> Path | None:
        """The archive of a job; None where it left none, or it is gone."""
        path = self._folder / str(job) / ARCHIVE
        return path if path.is_file() else None

    def read(self, job: int, name: str) -> bytes | None:
        """One file of the archive; None where it is not there."""
        path = self.archive(job)
        if path is None:
            return None
        with zipfile.ZipFile(path) as archive:
            return archive.read(name) if name in archive.namelist() else None

    def keep_variables(self, job: int, variables: Mapping[str, str]) -> None:
        """The variables of a dotenv report, for the jobs that come after."""
        (self.place(job).parent / DOTENV).write_text(json.dumps(dict(variables)))

    def variables(self, job: int) -> dict[str, str]:
        """The variables that a job left; none where it left none."""
        path = self._folder / str(job) / DOTENV
        return dict(json.loads(path.read_text())) if path.is_file() else {}

    def forget(self, job: int) -> None:
        """Remove what a job left."""
        shutil.rmtree(self._folder / str(job), ignore_errors=True)
