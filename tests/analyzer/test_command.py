"""`greenrun analyze` and `generate`: folders and addresses, JSON and text, without anything running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.analyzer import detect
from shared.adapters.folder import FolderSource
from shared.ci.lint import check
from shared.errors import Reject
from shared.events import Files
from shared.settings import SourceSettings


def analyze(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`greenrun analyze`."""
    return greenrun("analyze", *arguments, cwd=cwd)


def greenrun(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with no setting from outside."""
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "120", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", "from greenrun.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60, env=environment)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a Flask application, and beside it one in a folder below."""
    for path, text in {
        "shop/app.py": "x = 1\n",
        "shop/requirements.txt": "flask==3.1\npsycopg2\n",
        "shop/.python-version": "3.12.4\n",
        "shop/Dockerfile": "FROM x\nEXPOSE 8080\n",
        "mono/web/package.json": '{"dependencies": {"next": "15"}}',
        "mono/web/page.tsx": "x\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_json_is_one_object_a_line_in_the_order_asked(shop: Path) -> None:
    """With the fields that scripts read; the folder below is its own answer when it is asked for."""
    done = analyze("--json", "mono", "shop", cwd=shop)
    assert done.returncode == 0, done.stderr
    mono, found = (json.loads(line) for line in done.stdout.splitlines())
    assert (mono["source"], mono["framework"], mono["root"]) == ("mono", "nextjs", "web")
    expected = {"source": "shop", "language": "python", "framework": "flask", "version": "3.12.4"}
    expected |= {"package_manager": "pip"}
    assert {key: found[key] for key in expected} == expected
    assert found["ports"] == [8080]
    assert found["ms"] > 0


def test_a_card_says_what_and_where(shop: Path) -> None:
    """For people: each fact with the file and line that it comes from."""
    done = analyze("shop", cwd=shop)
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.strip("│ ").split()) for line in done.stdout.splitlines()]
    assert "framework flask requirements.txt:1" in lines
    assert "version 3.12.4 .python-version:1" in lines
    assert "services postgresql" in lines


def test_a_source_that_cannot_be_read_harms_no_other(shop: Path) -> None:
    """It is one line with the reason, the others are there, and the exit code tells."""
    sources = ("nothing", "shop", "file:///etc", "https://forbidden.example/a.git")
    done = analyze("--json", *sources, cwd=shop)
    assert done.returncode == 1
    nothing, found, scheme, host = (json.loads(line) for line in done.stdout.splitlines())
    assert "neither a folder nor the address" in nothing["error"]
    assert found["language"] == "python"
    assert "only http, https and ssh" in scheme["error"]
    assert "ANALYZER_ALLOWED_HOSTS" in host["error"]
    assert "Traceback" not in done.stderr


def test_a_folder_of_the_source_can_be_asked_for(shop: Path) -> None:
    """And one that is not there is said."""
    assert json.loads(analyze("--json", "--subfolder", "web", "mono", cwd=shop).stdout)["framework"] == "nextjs"
    assert (
        "there is no folder gone"
        in json.loads(analyze("--json", "--subfolder", "gone", "mono", cwd=shop).stdout)["error"]
    )


def test_a_bare_repository_is_read_at_a_ref(shop: Path) -> None:
    """From its objects, at HEAD or where one asks; a ref that is not there is said."""

    def git(*arguments: str) -> None:
        names = {
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
        }
        environment = {**names, "PATH": os.environ["PATH"]}
        subprocess.run(["git", *arguments], cwd=shop / "shop", check=True, capture_output=True, env=environment)

    git("init", "-q")
    for message in ("first", "second"):
        git("add", "-A")
        git("commit", "-qm", message)
        (shop / "shop" / "requirements.txt").write_text("django\n")
    git("clone", "-q", "--bare", ".", "../shop.git")
    assert json.loads(analyze("--json", "shop.git", cwd=shop).stdout)["framework"] == "django"
    assert json.loads(analyze("--json", "--ref", "HEAD~1", "shop.git", cwd=shop).stdout)["framework"] == "flask"
    assert "has no commit gone" in json.loads(analyze("--json", "--ref", "gone", "shop.git", cwd=shop).stdout)["error"]


def test_the_files_of_a_repository_without_anything_running(shop: Path) -> None:
    """Printed for one, written for several; what has no recipe says so and harms no other."""
    one = json.loads(greenrun("generate", "--json", "--registry", "nexus.example:5000", "shop", cwd=shop).stdout)
    assert (one["language"], one["origin"]) == ("python", "rules")
    files = Files(pipeline=one["files"][".gitlab-ci.yml"], dockerfile=one["files"]["Dockerfile"])
    assert check(files, registry="nexus.example:5000") == ()
    (shop / "cobol").mkdir()
    (shop / "cobol" / "main.cbl").write_text("x")
    done = greenrun("generate", "--json", "--out", "out", "shop", "cobol", "mono", cwd=shop)
    assert done.returncode == 1
    _, cobol, mono = (json.loads(line) for line in done.stdout.splitlines())
    assert "no recipe for the language 'cobol'" in cobol["error"]
    assert mono["written_to"] == "out/mono"
    assert "web" in (shop / "out" / "mono" / "Dockerfile").read_text()
    assert (shop / "out" / "shop" / ".gitlab-ci.yml").is_file()
    assert "FROM" in greenrun("generate", "shop", cwd=shop).stdout


def test_a_folder_has_no_ref(shop: Path) -> None:
    """Its files are read as they are, so a branch that was asked for would be passed over without a word."""
    done = greenrun("analyze", "shop", "--ref", "main", "--json", cwd=shop)
    assert done.returncode == 1
    assert "--ref is for addresses" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--builder", "x"), "kaniko"),
        (("--provider", "gpt"), "'gpt' is not one of"),
        (("--out", "/proc/x"), "cannot be"),
    ],
)
def test_a_wrong_option_of_generate_is_one_sentence(shop: Path, option: tuple[str, str], words: str) -> None:
    """No traceback; it says what there is."""
    done = greenrun("generate", *option, "shop", cwd=shop)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def source(**settings: Any) -> FolderSource:
    """With these limits."""
    return FolderSource(SourceSettings(**settings), detect.is_manifest, detect.languages.is_vendored)


def test_no_link_is_followed_and_nothing_vendored_is_entered(tmp_path: Path) -> None:
    """Links to files and to folders, also in a circle, are not seen; neither is what others wrote."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "package.json").write_text("{}")
    folder = tmp_path / "repo"
    (folder / "node_modules" / "a").mkdir(parents=True)
    (folder / "node_modules" / "a" / "package.json").write_text("{}")
    (folder / "a.py").write_text("x")
    (folder / "requirements.txt").symlink_to(tmp_path / "secret" / "package.json")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "round").symlink_to(folder)
    snapshot = source().read(folder)
    assert [entry.path for entry in snapshot.tree] == ["a.py"]
    assert snapshot.contents == {}


def test_names_that_are_no_text_and_large_manifests(tmp_path: Path) -> None:
    """A name of arbitrary bytes is listed in a readable form; a manifest over the limit is not read."""
    (tmp_path / os.fsdecode(b"\xff\n.py")).write_text("x")
    (tmp_path / "package.json").write_text(" " * 100)
    snapshot = source(manifest_max_bytes=99).read(tmp_path)
    assert sorted(entry.path for entry in snapshot.tree) == ["\\xff\n.py", "package.json"]
    assert snapshot.contents == {}


def test_limits_are_named(tmp_path: Path) -> None:
    """Too many files, and what is no folder: one sentence each."""
    for number in range(3):
        (tmp_path / f"{number}.py").write_text("x")
    with pytest.raises(Reject, match="CLONE_MAX_FILES=2"):
        source(clone_max_files=2).read(tmp_path)
    with pytest.raises(Reject, match="is no folder"):
        source().read(tmp_path / "0.py")
