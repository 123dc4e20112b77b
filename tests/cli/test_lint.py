"""`greenrun lint`, as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenrun.cli import app
from shared.adapters import linters
from tests.ci.pipelines import DOCKERFILE, PIPELINE
from tests.ci.valid import VALID


class Shell:
    """Runs the command in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> str:
        """The path of a new file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def lint(self, *arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        done = CliRunner().invoke(app, ["lint", "--no-tools", *arguments], input=stdin)
        return done.exit_code, done.stdout, done.stderr

    def findings(self, *arguments: str, stdin: str | None = None) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and the findings of --json."""
        code, out, _ = self.lint("--json", *arguments, stdin=stdin)
        return code, json.loads(out)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POLICY_DISABLED", raising=False)
    return Shell(tmp_path)


@pytest.mark.parametrize("name", VALID)
def test_a_valid_pipeline_is_no_error(name: str, shell: Shell) -> None:
    """Exit code 0 for what GitLab accepts, although it is none of greenrun's pipelines."""
    code, out, _ = shell.lint(shell.write(".gitlab-ci.yml", VALID[name]))
    assert code == 0, out


def test_a_finding_has_its_place_rule_and_fix(shell: Shell) -> None:
    """--json is one array; each finding says file, line, column, rule, severity, message and fix."""
    path = shell.write("ci.yml", "a:\n  stage: tset\n  script: x\n")
    code, found = shell.findings(path)
    message = found[0].pop("message")
    assert code == 1
    assert "'tset'" in message
    assert found == [
        {"file": path, "line": 2, "column": 3, "rule": "undefined-stage", "severity": "error", "fix": "stage: test"}
    ]


def test_people_see_the_line_and_the_count(shell: Shell) -> None:
    """As compilers print it, with the line below and how many there are at the end."""
    path = shell.write("ci.yml", "a:\n  stage: '[tset]'\n  script: x\n")
    code, out, _ = shell.lint(path)
    assert code == 1
    assert out.startswith(f"{path}:2:3: error: job 'a': stage '[tset]'")
    assert "\n    stage: '[tset]'\n" in out
    assert out.endswith("1 file: 1 error, 0 warnings\n")


def test_warnings_are_no_failure(shell: Shell) -> None:
    """A variable that only the settings can have is told, and the exit code is 0."""
    code, found = shell.findings(shell.write("ci.yml", "a: {script: ['x $NOWHERE_SEEN']}"))
    assert (code, [f["severity"] for f in found]) == (0, ["warning"])


def test_a_dockerfile_is_known_by_name_or_content(shell: Shell) -> None:
    """Its mistakes are found, whether it is called Dockerfile, Dockerfile.prod, prod.dockerfile or comes by a pipe."""
    broken = DOCKERFILE.replace("WORKDIR", "WORKDR")
    for name in ("Dockerfile", "Dockerfile.prod", "prod.dockerfile", "Containerfile", "anything"):
        code, found = shell.findings(shell.write(name, f"# a comment\n{broken}"))
        assert (code, [f["rule"] for f in found]) == (1, ["dockerfile-instruction"]), name
    code, found = shell.findings("-", stdin=broken)
    assert (code, [(f["file"], f["line"]) for f in found]) == (1, [("-", 3)])


def test_standard_input_is_a_pipeline_else(shell: Shell) -> None:
    """A pipeline by a pipe is read as one."""
    assert shell.findings("-", stdin=PIPELINE) == (0, [])
    assert shell.findings("-", stdin=PIPELINE.replace("stage: sast", "stage: sats"))[0] == 1


def test_house_rules_hold_for_what_is_meant_as_greenruns(shell: Shell) -> None:
    """Nine stages and ten jobs are asked of a file that has most of them; --no-house and --house decide else."""
    nearly = shell.write("nearly.yml", PIPELINE.replace("push, notify, learn]", "push, notify]"))
    ordinary = shell.write("ordinary.yml", VALID["the least"])
    assert {f["rule"] for f in shell.findings(nearly)[1]} == {"nine-stages", "undefined-stage"}
    assert {f["rule"] for f in shell.findings("--no-house", nearly)[1]} == {"undefined-stage"}
    assert shell.findings(ordinary) == (0, [])
    assert {f["rule"] for f in shell.findings("--house", ordinary)[1]} == {"nine-stages", "missing-job"}


def test_the_registry_is_the_files_own_or_the_one_that_is_named(shell: Shell) -> None:
    """Images from elsewhere are an error where the registry is known; --registry says another."""
    own = shell.write("own.yml", PIPELINE.replace("${REGISTRY}/aquasec", "docker.io/aquasec"))
    assert {f["rule"] for f in shell.findings(own)[1]} == {"policy-image-registry"}
    whole = shell.write("whole.yml", PIPELINE)
    assert len(shell.findings("--registry", "other:5000", whole)[1]) > 3
    dockerfile = shell.write("Dockerfile", "FROM python:3.12\n")
    assert shell.findings(dockerfile) == (0, [])
    assert [f["rule"] for f in shell.findings("--registry", "r:5000", dockerfile)[1]] == ["policy-image-registry"]


def test_rules_are_switched_off_by_option_or_setting(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule of the policy that does not count is not told; one that does not exist is a wrong call."""
    path = shell.write("x.yml", PIPELINE.replace("    - bandit -r", "    - printenv\n    - bandit -r"))
    assert shell.findings(path)[0] == 1
    assert shell.findings("--disable", "policy-prints-environment", path) == (0, [])
    monkeypatch.setenv("POLICY_DISABLED", "policy-prints-environment")
    assert shell.findings(path) == (0, [])
    code, _, said = shell.lint("--disable", "policy-print", path)
    assert code == 2
    assert "'policy-print' is no rule" in said


def test_included_files_are_read_from_the_files_folder(shell: Shell) -> None:
    """Their jobs and templates are known, their mistakes are told at their own place; none outside is read."""
    main = shell.write("repo/.gitlab-ci.yml", "include: {local: /ci/base.yml}\na: {extends: .b}\n")
    shell.write("repo/ci/base.yml", ".b: {script: x}\n")
    assert shell.findings(main) == (0, [])
    other = shell.write("repo/ci/base.yml", ".b: {script: x}\nc:\n  script: if\n")
    code, found = shell.findings(main)
    assert (code, [(f["file"], f["line"], f["rule"]) for f in found]) == (1, [(other, 3, "shell-syntax")])
    shell.write("outside.yml", ".b: {script: x}\n")
    escaping = shell.write("repo/up.yml", "include: {local: ../outside.yml}\na: {script: x}\n")
    assert [f["rule"] for f in shell.findings(escaping)[1]] == ["include-missing"]


def test_a_missing_include_is_an_error_at_the_root_of_a_repository(shell: Shell) -> None:
    """Beside `.git` every local file has to be there; elsewhere it may only be missing here."""
    path = shell.write("repo/.gitlab-ci.yml", "include: {local: /gone.yml}\na: {script: x}\n")
    assert [f["severity"] for f in shell.findings(path)[1]] == ["warning"]
    (shell.folder / "repo" / ".git").mkdir()
    assert [(f["rule"], f["severity"], f["line"]) for f in shell.findings(path)[1]] == [("include-missing", "error", 1)]


def test_what_cannot_be_read_is_one_sentence_and_exit_code_2(shell: Shell) -> None:
    """A file that is missing, a folder, bytes that are no text: said so, and the other files are still checked."""
    (shell.folder / "binary.yml").write_bytes(b"\xff\xfe\x00")
    broken = shell.write("broken.yml", "a: {stage: nowhere, script: x}")
    for name, why in (("none.yml", "No such file"), (".", "directory"), ("binary.yml", "not UTF-8")):
        code, out, said = shell.lint("--json", name, broken)
        assert (code, [f["rule"] for f in json.loads(out)]) == (2, ["undefined-stage"])
        assert why in said
        assert "Traceback" not in said
    assert shell.lint()[0] == 2


def test_several_files_are_one_array_in_their_order(shell: Shell) -> None:
    """Every finding names its file, as it was given."""
    one, two = shell.write("1.yml", "a: {stage: x, script: x}"), shell.write("2.yml", "a: {scrip: x}")
    assert [f["file"] for f in shell.findings(two, one)[1]][-1] == one


def test_windows_line_ends_and_a_byte_order_mark_are_no_mistake(shell: Shell) -> None:
    """Lines count as an editor shows them."""
    path = shell.write("x.yml", "")
    Path(path).write_bytes(
        b"\xef\xbb\xbfa:\r\n  script:\r\n    - |\r\n      if true; then\r\n        x\r\n      fi\r\n"
    )
    assert shell.findings(path) == (0, [])
    Path(path).write_bytes(b"a:\r\n  script: x\r\n  stage: nowhere\r\n")
    assert [f["line"] for f in shell.findings(path)[1]] == [3]


def test_the_rules_are_listed(shell: Shell) -> None:
    """As text and as JSON, each with its group, severity and reason."""
    code, out, _ = shell.lint("--rules")
    listed = json.loads(shell.lint("--rules", "--json")[1])
    assert code == 0
    assert {row["id"] for row in listed} == {line.split()[0] for line in out.splitlines()}
    assert all(row["reason"] and row["severity"] and row["group"] for row in listed)


@pytest.mark.skipif(linters.program("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_adds_warnings(shell: Shell) -> None:
    """What it says is a warning with its own number, at its line, and makes no failure."""
    path = shell.write("Dockerfile", "FROM debian:12\nWORKDIR app\n")
    done = CliRunner().invoke(app, ["lint", "--json", path])
    assert done.exit_code == 0
    assert [(f["rule"], f["severity"], f["line"]) for f in json.loads(done.stdout)] == [
        ("hadolint-DL3000", "warning", 2)
    ]


@pytest.mark.skipif(linters.program("hadolint") is None, reason="hadolint is not installed")
def test_a_finding_of_hadolint_is_one_line(shell: Shell) -> None:
    """What its parser says comes in several."""
    done = CliRunner().invoke(app, ["lint", "--json", shell.write("Dockerfile", "FRM x\n")])
    said = [one["message"] for one in json.loads(done.stdout) if one["rule"] == "hadolint-DL1000"]
    assert len(said) == 1
    assert "\n" not in said[0]


@pytest.mark.skipif(linters.program("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_adds_warnings(shell: Shell) -> None:
    """What it says about a script is a warning at the script's own line in the pipeline."""
    path = shell.write("x.yml", "a:\n  script:\n    - make\n    - |\n      ls\n      touch $(ls)x\n")
    done = CliRunner().invoke(app, ["lint", "--json", path])
    assert done.exit_code == 0
    assert {(f["rule"], f["severity"], f["line"]) for f in json.loads(done.stdout)} == {
        ("shellcheck-SC2046", "warning", 6)
    }
