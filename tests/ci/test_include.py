"""Included files: merged as GitLab does it, findings name their file, and what is not here is no mistake."""

from __future__ import annotations

from collections.abc import Mapping

from shared.ci.finding import Finding
from shared.ci.include import assembled
from shared.ci.lint import check_assembled, in_order

LIMIT = 100_000


def found(text: str, others: Mapping[str, str], *, certain: bool = False) -> list[Finding]:
    """The findings about a pipeline that may read these files."""

    def read(path: str) -> tuple[tuple[str, str], ...]:
        name = path.lstrip("/")
        wanted = sorted(others) if "*" in name else [name]
        return tuple((one, others[one]) for one in wanted if one in others)

    return list(in_order(check_assembled(assembled(text, "main.yml", read, certain=certain, limit=LIMIT))))


def places(findings: list[Finding]) -> list[tuple[str, str, int, str]]:
    """Rule, file, line and severity of each."""
    return [(f.rule, f.file, f.line, f.severity) for f in findings]


BASE = "stages: [build, lint]\n.lint:\n  stage: lint\n  script: [ruff check]\n"


def test_jobs_stages_and_templates_come_from_the_files() -> None:
    """What is written in an included file, or in one that it includes itself, is known."""
    main = "include: [/ci/base.yml, ci/jobs.yml]\nstyle:\n  extends: .lint\n  needs: [compile]\n"
    jobs = "include: {local: ci/more.yml}\ncompile:\n  stage: build\n  script: make\n"
    assert found(main, {"ci/base.yml": BASE, "ci/jobs.yml": jobs, "ci/more.yml": "variables: {A: b}\n"}) == []


def test_a_mistake_is_found_in_the_file_where_it_stands() -> None:
    """The including file's and the included one's mistakes, each on its own line."""
    main = "include: base.yml\nstyle:\n  extends: .lnt\n  script: x\n"
    other = BASE.replace("ruff check", "if ruff") + "x:\n  stage: lnt\n  script: y\n  scrpt: z\n"
    assert places(found(main, {"base.yml": other})) == [
        ("shell-syntax", "base.yml", 4, "error"),
        ("undefined-stage", "base.yml", 6, "error"),
        ("schema", "base.yml", 8, "error"),
        ("unknown-extends", "main.yml", 3, "error"),
    ]


def test_the_including_file_comes_last() -> None:
    """A job that both have is merged, and what the including file says counts."""
    main = "include: base.yml\nx: {stage: lint}\nstages: [lint]\n"
    assert found(main, {"base.yml": "x: {stage: nowhere, script: y}\n"}) == []


def test_wildcards_bring_several_files() -> None:
    """Every file that a pattern means is read."""
    main = "include: 'ci/*.yml'\nb: {needs: [a], script: x}\n"
    assert found(main, {"ci/1.yml": "a: {script: x}\n", "ci/2.yml": "c: {script: x}\n"}) == []


def test_a_missing_file_is_an_error_where_it_has_to_be_there() -> None:
    """Where the root of the repository is known, or another file was found; a file alone may lie anywhere."""
    main = "include:\n  - local: gone.yml\n  - local: base.yml\nx: {script: y}\n"
    assert places(found(main, {})) == [
        ("include-missing", "main.yml", 2, "warning"),
        ("include-missing", "main.yml", 3, "warning"),
    ]
    assert places(found(main, {"base.yml": BASE.replace("build", "test")})) == [
        ("include-missing", "main.yml", 2, "error")
    ]
    assert [f.severity for f in found(main, {}, certain=True)] == ["error", "error"]


def test_what_cannot_be_read_leaves_everything_open() -> None:
    """Files of other projects, addresses, components, templates, conditions, inputs: what they bring is not known."""
    rest = "x: {stage: elsewhere, extends: .elsewhere, needs: [elsewhere]}\n"
    for include in (
        "[{project: a/b, file: c.yml}]",
        "https://x.example/y.yml",
        "{component: a/b@1}",
        "{template: Auto-DevOps.gitlab-ci.yml}",
        "[{local: base.yml, rules: [{if: $A}]}]",
        "['$WHERE/ci.yml']",
        "with-inputs.yml",
    ):
        others = {"base.yml": BASE, "with-inputs.yml": "spec: {inputs: {a: }}\n---\n'$[[ inputs.a ]]': {script: x}\n"}
        assert found(f"include: {include}\n{rest}", others) == [], include


def test_files_that_include_each_other_are_read_once() -> None:
    """A circle ends."""
    a, b = "include: b.yml\na: {script: x}\n", "include: [main.yml, b.yml]\nb: {script: x}\n"
    assert found(a, {"b.yml": b, "main.yml": a}) == []
