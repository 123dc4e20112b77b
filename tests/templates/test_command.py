"""`greenrun templates` on a real Chroma: a golden template in front, and everything that is done by hand."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenrun import embedded
from services.retriever import decide
from shared.adapters.embedders import FeatureHash
from shared.events import Analysis, RepoAnalyzed, Submission, Template, new_run_id
from shared.recipes import render
from shared.settings import ChromaSettings
from tests.facts import FLASK


async def templates(
    settings: ChromaSettings, *arguments: str, cwd: Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, on this Chroma; it ends with this code and without a traceback."""
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "160", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment |= {"CHROMADB_HOST": settings.chromadb_host, "CHROMADB_PORT": str(settings.chromadb_port)}
    environment |= {"GREENRUN_HOME": str(cwd / "home"), "HOME": str(cwd)}
    command = [sys.executable, "-c", "from greenrun.cli import main; main()", "templates", *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files that pass the checks, and a repository that they are for."""
    files = render(FLASK, registry="nexus.example:5000")
    assert files is not None
    (tmp_path / "ci.yml").write_text(files.pipeline)
    (tmp_path / "Dockerfile").write_text(files.dockerfile)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "requirements.txt").write_text("flask\ngunicorn\n")
    (tmp_path / "shop" / "app.py").write_text("x")
    return tmp_path


async def test_a_golden_template_comes_before_all_others(chroma_settings: ChromaSettings, folder: Path) -> None:
    """It is checked, loses its registry, and is a direct hit for a repository of its kind."""
    added = await templates(chroma_settings, "add", "ci.yml", "Dockerfile", "--like", "shop", "--json", cwd=folder)
    summary = json.loads(added.stdout)
    assert (summary["new"], summary["collection"]) == (True, "pipeline_templates")
    shown = await templates(chroma_settings, "show", summary["id"], "--json", cwd=folder)
    template = Template.model_validate_json(shown.stdout)
    assert "nexus.example" not in shown.stdout
    kept = {name: value for name, value in summary.items() if name in Analysis.model_fields}
    analysis = Analysis.model_validate({**kept, "release": template.version, "dependencies": ()})
    event = RepoAnalyzed(
        run_id=new_run_id(), submission=Submission(repo_url="https://x/y"), commit_sha="0" * 40, analysis=analysis
    )
    assert decide.resolve(event, [template], keep=1).decision == "chromadb-direct"
    again = await templates(chroma_settings, "add", "ci.yml", "Dockerfile", "--like", "shop", cwd=folder)
    assert "was already in" in again.stdout


async def test_files_that_fail_the_checks_are_refused(chroma_settings: ChromaSettings, folder: Path) -> None:
    """With the findings; nothing is stored."""
    (folder / "ci.yml").write_text((folder / "ci.yml").read_text() + "  allow_failure: true\n")
    refused = await templates(chroma_settings, "add", "ci.yml", "Dockerfile", "--like", "shop", cwd=folder, code=1)
    assert "policy-allow-failure" in refused.stderr
    assert "no templates yet" in (await templates(chroma_settings, "list", cwd=folder)).stdout


async def test_templates_go_out_and_come_back(chroma_settings: ChromaSettings, folder: Path) -> None:
    """Export, remove, import: the same templates, each once; the counts say so. No character of theirs ends a line."""
    (folder / "Dockerfile").write_text((folder / "Dockerfile").read_text() + "# nothing\u2028more\n")
    await templates(chroma_settings, "add", "ci.yml", "Dockerfile", "--like", "shop", cwd=folder)
    [one] = json.loads((await templates(chroma_settings, "list", "--json", cwd=folder)).stdout)
    await templates(chroma_settings, "export", "all.jsonl", cwd=folder)
    await templates(chroma_settings, "remove", one["id"], cwd=folder)
    assert "there is no template" in (await templates(chroma_settings, "remove", one["id"], cwd=folder, code=2)).stderr
    assert "1 new templates stored" in (await templates(chroma_settings, "import", "all.jsonl", cwd=folder)).stdout
    assert "1 replaced" in (await templates(chroma_settings, "import", "all.jsonl", cwd=folder)).stdout
    stats = json.loads((await templates(chroma_settings, "stats", "--json", cwd=folder)).stdout)
    assert stats == {"pipeline_templates": {"python": 1}}
    assert one["id"] in (await templates(chroma_settings, "list", "--language", "python", cwd=folder)).stdout


async def test_a_store_is_reindexed_by_hand(chroma_settings: ChromaSettings, folder: Path) -> None:
    """Each collection with its count and embedder; an embedder that is none is refused by name."""
    await templates(chroma_settings, "add", "ci.yml", "Dockerfile", "--like", "shop", cwd=folder)
    said = (await templates(chroma_settings, "reindex", cwd=folder)).stdout
    assert f"pipeline_templates: 1 templates by {FeatureHash.id}" in said
    done = json.loads((await templates(chroma_settings, "reindex", "--json", cwd=folder)).stdout)
    assert [one["templates"] for one in done] == [0, 1]


async def test_a_wrong_call_is_one_sentence(chroma_settings: ChromaSettings, folder: Path) -> None:
    """A file that is none, one that holds something else, an id that is not there, and no Chroma."""
    (folder / "odd.jsonl").write_text('{"id": 7}\n')
    missing = await templates(chroma_settings, "import", "none.jsonl", cwd=folder, code=2)
    assert "none.jsonl cannot be read" in missing.stderr
    assert "no template" in (await templates(chroma_settings, "import", "odd.jsonl", cwd=folder, code=2)).stderr
    assert "there is no template x" in (await templates(chroma_settings, "show", "x", cwd=folder, code=2)).stderr
    down = ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=embedded.free_port())
    assert "does not answer" in (await templates(down, "list", cwd=folder, code=3)).stderr
